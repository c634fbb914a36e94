//! Does the platform work as many processes, whatever happens to them?
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod balancer;
mod fake;
mod starts;
mod up;

use std::process::Command;

use mesh::binary;
use tokio::sync::Mutex;

/// Whoever has it may have many processes: a small machine bears one mesh at a time.
static TURN: Mutex<()> = Mutex::const_new(());

/// Plays the stories of the demo, all of which must be as they should be.
fn demo(url: &str) {
    let mut demo = Command::new(binary("berth").unwrap());
    let told = demo.args(["demo", "--server", url]).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        told.status.success(),
        "{}{}",
        text(&told.stdout),
        text(&told.stderr)
    );
}
