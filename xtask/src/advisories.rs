//! Checks the dependencies against RustSec, the database of advisories. It is a git repository, so without a network there
//! may be none: then the check is skipped with a warning that cannot be overlooked.
use std::{env, fs, path::PathBuf, process::Command};

use anyhow::Result;

use crate::{run::run, tools};

/// Where the database is fetched from, which `cargo-deny` knows too.
const DATABASE: &str = "https://github.com/RustSec/advisory-db";
/// The name of its directory in the cache of `cargo-deny`, without the hash of the address.
const CACHED: &str = "advisory-db-";

/// Checks against the newest database. Without one it fails.
pub(crate) fn check() -> Result<()> {
    run(deny()?.args(["--workspace", "check", "advisories"]))
}

/// Checks against the newest database, or else against a cached one; `cargo-deny` rejects a cached one that is too old.
pub(crate) fn check_if_possible() -> Result<()> {
    if is_reachable() {
        return check();
    }
    if is_cached() {
        eprintln!("{DATABASE} is unreachable; its last copy is used");
        return run(deny()?.args(["--offline", "--workspace", "check", "advisories"]));
    }
    eprintln!(
        "WARNING: ADVISORIES WERE NOT CHECKED: {DATABASE} is unreachable, and there is no copy of it.\n\
         Where there is a network, run `cargo xtask advisories`."
    );
    Ok(())
}

fn deny() -> Result<Command> {
    tools::deny().map(Command::new)
}

/// Whether the database can be fetched. Without git it cannot.
fn is_reachable() -> bool {
    let mut git = Command::new("git");
    git.args(["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=10"])
        .args(["ls-remote", "--quiet", DATABASE, "HEAD"])
        .env("GIT_TERMINAL_PROMPT", "0");
    git.output().is_ok_and(|output| output.status.success())
}

fn is_cached() -> bool {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(env::home_dir()?.join(".cargo")));
    let cached = home.and_then(|home| fs::read_dir(home.join("advisory-dbs")).ok());
    cached.into_iter().flatten().flatten().any(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with(CACHED)
    })
}
