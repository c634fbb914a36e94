//! The servers start, pause, die and restart, and leave nothing behind.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod nats;
mod orphans;
mod postgres;

use std::path::Path;

/// Whether a process runs; a zombie does not.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    !matches!(after.split_whitespace().next(), None | Some("Z" | "X"))
}

fn exists(path: &Path) -> bool {
    path.try_exists().unwrap()
}
