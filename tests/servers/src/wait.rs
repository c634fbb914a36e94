//! Waits for a condition by polling.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// The polling interval.
const INTERVAL: Duration = Duration::from_millis(10);

/// Polls until there is a value. Fails after a timeout.
pub fn until<T>(
    what: &str,
    timeout: Duration,
    mut poll: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(value) = poll()? {
            return Ok(value);
        }
        if began.elapsed() > timeout {
            bail!("{what}: not within {timeout:?}");
        }
        thread::sleep(INTERVAL);
    }
}
