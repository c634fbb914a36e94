//! Writes OCI archives: the same files give the same bytes, on every machine and at every time.
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

const ARCHITECTURE: &str = "amd64";
const GZIP_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What is at a path of an image.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    /// A copy of a file on this machine; executable if that is.
    File(PathBuf),
    /// A text.
    Text(String),
    /// A symbolic link.
    Link(PathBuf),
    /// An empty directory that everybody may write to.
    Directory,
}

/// The files of an image, by absolute path.
pub(crate) type Files = BTreeMap<PathBuf, Entry>;

/// An image of one layer.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    /// `localhost/berth:0.1.0`.
    pub(crate) name: String,
    /// The command that a container runs.
    pub(crate) entrypoint: Vec<String>,
    /// Labels such as `org.opencontainers.image.licenses`.
    pub(crate) labels: BTreeMap<&'static str, String>,
}

/// The layer of an image: its bytes, and the digest of the uncompressed archive.
pub(crate) struct Layer {
    bytes: Vec<u8>,
    diff_id: String,
}

impl Layer {
    pub(crate) fn of(files: &Files) -> Result<Self> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, entry) in files {
            append(&mut archive, path, entry)
                .with_context(|| format!("cannot archive {}", path.display()))?;
        }
        let archive = archive.into_inner()?;
        // Without a file name and a time in its header.
        let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
        gzip.write_all(&archive)?;
        Ok(Self {
            bytes: gzip.finish()?,
            diff_id: digest(&archive),
        })
    }
}

/// The digest and the sizes of a written image.
pub(crate) struct Written {
    pub(crate) digest: String,
    /// Bytes of the archive.
    pub(crate) size: usize,
}

/// Writes an image as an OCI archive.
pub(crate) fn write(image: &Image, layer: &Layer, to: &Path) -> Result<Written> {
    let config = json!({
        "architecture": ARCHITECTURE,
        "os": "linux",
        "config": {
            "Entrypoint": image.entrypoint,
            "User": "65532:65532",
            "WorkingDir": "/",
            "Labels": image.labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
    })
    .to_string()
    .into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, &config),
        "layers": [descriptor(GZIP_LAYER, &layer.bytes)],
    })
    .to_string()
    .into_bytes();
    let mut described = descriptor(MANIFEST, &manifest);
    let (_, tag) = image
        .name
        .rsplit_once(':')
        .context("an image without tag")?;
    if let Some(described) = described.as_object_mut() {
        let names = json!({
            "io.containerd.image.name": image.name,
            "org.opencontainers.image.ref.name": tag,
        });
        described.insert("annotations".to_owned(), names);
    }
    let index = json!({"schemaVersion": 2, "manifests": [described]});
    let mut archive = tar::Builder::new(Vec::new());
    let layout = json!({"imageLayoutVersion": "1.0.0"}).to_string();
    append_bytes(&mut archive, "oci-layout", layout.as_bytes(), 0o644)?;
    append_bytes(
        &mut archive,
        "index.json",
        index.to_string().as_bytes(),
        0o644,
    )?;
    for blob in [&layer.bytes, &config, &manifest] {
        let path = format!("blobs/{}", digest(blob).replace(':', "/"));
        append_bytes(&mut archive, &path, blob, 0o644)?;
    }
    let archive = archive.into_inner()?;
    fs::write(to, &archive).with_context(|| format!("cannot write {}", to.display()))?;
    Ok(Written {
        digest: digest(&manifest),
        size: archive.len(),
    })
}

fn append(archive: &mut tar::Builder<Vec<u8>>, path: &Path, entry: &Entry) -> Result<()> {
    let path = path.strip_prefix("/")?;
    let special = |kind, mode| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(0);
        header
    };
    match entry {
        Entry::File(source) => append_bytes(archive, path, &fs::read(source)?, mode(source)?),
        Entry::Text(text) => append_bytes(archive, path, text.as_bytes(), 0o644),
        Entry::Link(target) => {
            let mut header = special(EntryType::Symlink, 0o777);
            Ok(archive.append_link(&mut header, path, target)?)
        }
        Entry::Directory => {
            let mut header = special(EntryType::Directory, 0o1777);
            Ok(archive.append_data(&mut header, path, std::io::empty())?)
        }
    }
}

/// Everything belongs to root and is as old as the epoch.
fn append_bytes(
    archive: &mut tar::Builder<Vec<u8>>,
    path: impl AsRef<Path>,
    bytes: &[u8],
    mode: u32,
) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(mode);
    header.set_size(bytes.len().try_into()?);
    Ok(archive.append_data(&mut header, path, bytes)?)
}

fn mode(file: &Path) -> Result<u32> {
    use std::os::unix::fs::PermissionsExt;
    let executable = fs::metadata(file)?.permissions().mode() & 0o111 != 0;
    Ok(if executable { 0o755 } else { 0o644 })
}

fn descriptor(media_type: &str, blob: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(blob), "size": blob.len()})
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn files(dir: &Path) -> Files {
        let program = dir.join("program");
        fs::write(&program, "a program").unwrap();
        Files::from([
            ("/program".into(), Entry::File(program)),
            ("/room".into(), Entry::Link("/program".into())),
            ("/etc/passwd".into(), Entry::Text("nobody".into())),
            ("/tmp".into(), Entry::Directory),
        ])
    }

    fn image() -> Image {
        Image {
            name: "localhost/room:1".into(),
            entrypoint: vec!["/room".into()],
            labels: BTreeMap::new(),
        }
    }

    /// The files of a tar archive.
    fn read(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(bytes);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (path, content)
        });
        entries.collect()
    }

    #[test]
    fn the_same_files_give_the_same_archive_at_any_time() {
        let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let [first, second] = dirs.each_ref().map(|dir| {
            let to = dir.path().join("image.tar");
            let layer = Layer::of(&files(dir.path())).unwrap();
            let written = write(&image(), &layer, &to).unwrap();
            let bytes = fs::read(to).unwrap();
            assert_eq!(written.size, bytes.len());
            (written.digest, bytes)
        });
        assert_eq!(first, second);
    }

    #[test]
    fn every_blob_has_the_digest_by_which_it_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("image.tar");
        let layer = Layer::of(&files(dir.path())).unwrap();
        let written = write(&image(), &layer, &to).unwrap();
        let all = read(&fs::read(to).unwrap());
        let blobs = all.iter().filter(|(path, _)| path.starts_with("blobs/"));
        let blobs: Vec<_> = blobs.collect();
        assert_eq!(blobs.len(), 3);
        for (path, blob) in blobs {
            assert_eq!(path.replace("blobs/", "").replace('/', ":"), digest(blob));
        }
        let index: Value = serde_json::from_slice(&all["index.json"]).unwrap();
        assert_eq!(index["manifests"][0]["digest"], written.digest);
        let path = format!("blobs/{}", written.digest.replace(':', "/"));
        let manifest: Value = serde_json::from_slice(&all[&path]).unwrap();
        let config = manifest["config"]["digest"].as_str().unwrap();
        let path = format!("blobs/{}", config.replace(':', "/"));
        let config: Value = serde_json::from_slice(&all[&path]).unwrap();
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["rootfs"]["diff_ids"][0], layer.diff_id);
    }

    #[test]
    fn a_layer_has_files_links_and_directories() {
        let dir = tempfile::tempdir().unwrap();
        let layer = Layer::of(&files(dir.path())).unwrap();
        let mut archive = Vec::new();
        flate2::read::GzDecoder::new(&layer.bytes[..])
            .read_to_end(&mut archive)
            .unwrap();
        let mut archive = tar::Archive::new(&archive[..]);
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            (
                entry.path().unwrap().display().to_string(),
                header.entry_type(),
                header.mode().unwrap(),
            )
        });
        let expected = [
            ("etc/passwd", EntryType::Regular, 0o644),
            ("program", EntryType::Regular, 0o644),
            ("room", EntryType::Symlink, 0o777),
            ("tmp", EntryType::Directory, 0o1777),
        ];
        let expected = expected.map(|(path, kind, mode)| (path.to_owned(), kind, mode));
        assert_eq!(entries.collect::<Vec<_>>(), expected);
    }
}
