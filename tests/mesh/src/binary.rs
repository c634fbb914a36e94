//! Where the binaries of the platform are.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result, ensure};

/// A binary of the platform: in `BERTH_BIN_DIR`, or beside the program that runs now. One that is older than its sources
/// is refused: a test of it would say nothing.
pub fn binary(name: &str) -> Result<PathBuf> {
    let here = env::current_exe()?;
    let beside = here.parent().context("no directory")?;
    // Tests lie one below.
    let above = beside.ends_with("deps").then(|| beside.parent()).flatten();
    let beside = above.unwrap_or(beside).to_owned();
    let dir = env::var_os("BERTH_BIN_DIR").map_or(beside, PathBuf::from);
    let binary = dir.join(name);
    ensure!(
        binary.is_file(),
        "{} is not there: `cargo build --workspace --bins` makes it",
        binary.display()
    );
    if let Some(source) = newer(&binary)? {
        anyhow::bail!(
            "{} is older than {}: `cargo build --workspace --bins` makes it anew",
            binary.display(),
            source.display()
        );
    }
    Ok(binary)
}

/// A source that was changed after the binary was made of it, as far as cargo has left a list of them. The list may be older
/// than the binary; what is not there any more was removed since.
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
    fn a_binary_that_is_older_than_a_source_is_noticed() {
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
