//! Compares generated texts with recorded ones.
use std::{env, fs, path::PathBuf};

use contract::wire::missing;

/// A recorded file.
pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(name)
}

/// Whether to record.
pub(crate) fn records() -> bool {
    env::var_os("UPDATE_GOLDEN").is_some()
}

/// Compares lines that may only be added to.
pub(crate) fn only_grows(name: &str, now: &str) {
    let path = path(name);
    let then = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        missing(&then, now),
        [""; 0],
        "removed or changed: what clients use must stay. If it is not released yet, delete the lines from {}",
        path.display()
    );
    is(name, now);
}

/// Compares a text with the recorded one.
pub(crate) fn is(name: &str, now: &str) {
    let path = path(name);
    if records() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, now).unwrap();
    }
    assert_eq!(
        fs::read_to_string(&path).unwrap_or_default(),
        now,
        "{} differs: record it with `UPDATE_GOLDEN=1 cargo test -p contract`",
        path.display()
    );
}
