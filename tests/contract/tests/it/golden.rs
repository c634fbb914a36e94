//! What was recorded, compared with what is.
use std::{env, fs, path::PathBuf};

use contract::wire::missing;

/// A file of what was recorded.
pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(name)
}

/// Whether what is is to be recorded.
pub(crate) fn records() -> bool {
    env::var_os("UPDATE_GOLDEN").is_some()
}

/// Lines that only grow in number.
pub(crate) fn only_grows(name: &str, now: &str) {
    let path = path(name);
    let then = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        missing(&then, now),
        [""; 0],
        "gone or changed: what is in use stays. If nobody can use it yet, delete the lines from {}",
        path.display()
    );
    is(name, now);
}

/// A text as it was recorded.
pub(crate) fn is(name: &str, now: &str) {
    let path = path(name);
    if records() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, now).unwrap();
    }
    assert_eq!(
        fs::read_to_string(&path).unwrap_or_default(),
        now,
        "{} is not what is: record it with `UPDATE_GOLDEN=1 cargo test -p contract`",
        path.display()
    );
}
