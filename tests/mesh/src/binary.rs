//! Builds and finds the binaries of the platform.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use anyhow::{Context, Result, ensure};

/// The directory of the binaries, instead of that of the running program.
const DIRECTORY: &str = "BERTH_BIN_DIR";

/// Finds a binary of the platform in `BERTH_BIN_DIR`, or else beside the running program. A binary that is older than its
/// sources is an error, because a test of it would prove nothing.
pub fn binary(name: &str) -> Result<PathBuf> {
    let here = env::current_exe()?;
    let beside = here.parent().context("no directory")?;
    // Test programs are in the subdirectory `deps`.
    let above = beside.ends_with("deps").then(|| beside.parent()).flatten();
    let beside = above.unwrap_or(beside).to_owned();
    let dir = env::var_os(DIRECTORY).map_or(beside, PathBuf::from);
    let binary = dir.join(name);
    ensure!(
        binary.is_file(),
        "{} does not exist: build it with `cargo build --workspace --bins`",
        binary.display()
    );
    if let Some(source) = newer(&binary)? {
        anyhow::bail!(
            "{} is older than {}: rebuild it with `cargo build --workspace --bins`",
            binary.display(),
            source.display()
        );
    }
    Ok(binary)
}

/// Builds binaries of the platform in the profile of the running program, and shows that. Does nothing if `BERTH_BIN_DIR`
/// names other binaries.
#[expect(clippy::print_stderr, reason = "a build takes minutes")]
pub fn build(names: &[&str]) -> Result<()> {
    if env::var_os(DIRECTORY).is_some() {
        return Ok(());
    }
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).arg("build");
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    for name in names {
        // All packages are named like their binary, except for the platform as one process.
        let package = if *name == "berth" { "all" } else { name };
        cargo.args(["--package", package, "--bin", name]);
    }
    eprintln!("=== build of {}", names.join(", "));
    let status = cargo.status().context("cannot run cargo")?;
    ensure!(status.success(), "the build ended with {status}");
    Ok(())
}

/// A source that is newer than the binary, according to cargo's list of sources. The list may be older than the binary, so
/// files that no longer exist are ignored.
fn newer(binary: &Path) -> Result<Option<PathBuf>> {
    let Ok(list) = fs::read_to_string(binary.with_extension("d")) else {
        return Ok(None);
    };
    let built = changed(binary)?;
    // `/target/debug/room: /services/room/src/lib.rs /services/…`
    let sources = list.split_once(": ").map_or("", |(_, sources)| sources);
    let mut sources = sources.split_whitespace().map(PathBuf::from);
    Ok(sources.find(|source| {
        let is_newer = changed(source).is_ok_and(|changed| changed > built);
        is_newer && source.is_file()
    }))
}

fn changed(file: &Path) -> Result<SystemTime> {
    Ok(fs::metadata(file)?.modified()?)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, time::Duration};

    use super::*;

    #[test]
    fn a_binary_older_than_a_source_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str, seconds: u64| {
            let path = dir.path().join(name);
            let file = File::create(&path).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            file.set_modified(time).unwrap();
            path
        };
        let (binary, old) = (at("room", 5), at("old.rs", 4));
        let list = |source: &Path| {
            let text = format!(
                "{}: {} {}\n",
                binary.display(),
                old.display(),
                source.display()
            );
            fs::write(binary.with_extension("d"), text).unwrap();
        };
        assert_eq!(newer(&binary).unwrap(), None);
        for source in [old.clone(), dir.path().join("gone.rs")] {
            list(&source);
            assert_eq!(newer(&binary).unwrap(), None);
        }
        let new = at("new.rs", 6);
        list(&new);
        assert_eq!(newer(&binary).unwrap(), Some(new));
    }
}
