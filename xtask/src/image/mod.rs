//! `cargo xtask image`: images as OCI archives, without a container engine.
//!
//! There is one program and one layer: `/berth` is all contexts in one process, and the links `/room`, `/reservation`, … to it
//! are each context as a process of its own. The images differ in the command that they run.
mod archive;
mod sbom;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

pub(crate) use self::archive::{Entry, Files, Image, Layer, write};
use crate::{
    run::{run, services},
    tools::{cargo, root},
};

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Without it an image is not small, and something was linked by mistake.
const LARGEST: usize = 20 * 1024 * 1024;

/// Builds the program, and writes the images and their bill of materials.
pub(crate) fn images(tag: &str) -> Result<()> {
    let dir = directory();
    fs::create_dir_all(&dir)?;
    let layer = Layer::of(&files(&build()?)?)?;
    let bill = dir.join("berth.cdx.json");
    let crates = sbom::write("all", TARGET, &bill)?;
    eprintln!("\n{:>9}  {:<24} digest", "bytes", "image");
    for name in names()? {
        let image = Image {
            name: format!("localhost/{name}:{tag}"),
            entrypoint: vec![format!("/{name}")],
            labels: labels(),
        };
        let written = write(&image, &layer, &dir.join(format!("{name}.tar")))?;
        eprintln!("{:>9}  {:<24} {}", written.size, image.name, written.digest);
        anyhow::ensure!(
            written.size <= LARGEST,
            "{} is larger than {LARGEST} bytes",
            image.name
        );
    }
    eprintln!(
        "\nin {}, with the {crates} crates in {}",
        dir.display(),
        bill.display()
    );
    Ok(())
}

/// Where the images are.
pub(crate) fn directory() -> PathBuf {
    root().join("target/images")
}

/// Builds the program, which needs no libraries of the system. Nothing in it depends on where the repository is.
pub(crate) fn build() -> Result<PathBuf> {
    let cargo_home = env::var_os("CARGO_HOME").map_or_else(
        || env::home_dir().unwrap_or_default().join(".cargo"),
        PathBuf::from,
    );
    let moved = [(root(), "/berth"), (&cargo_home, "/cargo")];
    let paths = moved.map(|(from, to)| format!("{}={to}", from.display()));
    let flags = paths
        .iter()
        .map(|path| format!("--remap-path-prefix={path}"));
    let flags: Vec<_> = ["-Ctarget-feature=+crt-static".to_owned()]
        .into_iter()
        .chain(flags)
        .collect();
    let c_flags = paths
        .each_ref()
        .map(|path| format!("-ffile-prefix-map={path}"));
    eprintln!("=== build of berth");
    run(cargo()
        // With an explicit target, so that the flags are not used for build scripts.
        .args(["build", "--locked", "--release", "--target", TARGET])
        .args(["--package", "all", "--bin", "berth"])
        .arg("--target-dir")
        .arg(root().join("target"))
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env("CFLAGS", c_flags.join(" ")))?;
    Ok(root().join("target").join(TARGET).join("release/berth"))
}

/// The files of every image. Time zones are compiled in, and so are the certificates of authorities for PostgreSQL and e-mail;
/// `BERTH_NATS_CA` names that of NATS.
pub(crate) fn files(program: &Path) -> Result<Files> {
    let mut files = Files::from([
        ("/berth".into(), Entry::File(program.to_owned())),
        ("/data".into(), Entry::Directory),
        ("/tmp".into(), Entry::Directory),
        ("/etc/passwd".into(), Entry::Text(PASSWD.to_owned())),
    ]);
    let contexts = names()?.into_iter().filter(|name| name != "berth");
    files.extend(contexts.map(|name| (format!("/{name}").into(), Entry::Link("/berth".into()))));
    Ok(files)
}

/// The user of every image, for programs that ask for its name.
pub(crate) const PASSWD: &str = "berth:x:65532:65532::/:/nonexistent\n";

/// The names of the images: `berth`, and each context.
fn names() -> Result<Vec<String>> {
    let names = services()?.into_iter();
    Ok(names
        .map(|name| match name.as_str() {
            "all" => "berth".to_owned(),
            _ => name,
        })
        .collect())
}

fn labels() -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("org.opencontainers.image.licenses", "Apache-2.0".to_owned()),
        (
            "org.opencontainers.image.version",
            env!("CARGO_PKG_VERSION").to_owned(),
        ),
    ])
}
