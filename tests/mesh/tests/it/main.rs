//! Does the platform work as many processes, whatever happens to them?
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod balancer;
mod breaker;
mod fake;
mod floods;
mod limits;
mod redrive;
mod stage;
mod starts;
mod traces;
mod up;

use std::process::Command;

use mesh::binary;
use tokio::sync::Mutex;

/// Whoever has it may have many processes: a small machine bears one mesh at a time.
static TURN: Mutex<()> = Mutex::const_new(());

/// Plays the stories of the demo, all of which must be as they should be. Whoever asks another for the first time must
/// connect first, and a busy machine may take longer for it than the asker waits: then they are played again.
#[expect(clippy::print_stdout, reason = "printed if the test fails")]
fn demo(url: &str) {
    let play = || {
        let mut demo = Command::new(binary("berth").unwrap());
        let output = demo.args(["demo", "--server", url]).output().unwrap();
        println!("{}", String::from_utf8_lossy(&output.stdout));
        output.status.success()
    };
    assert!(play() || play());
}
