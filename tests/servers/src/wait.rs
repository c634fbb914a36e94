//! Waiting for something that comes about elsewhere.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// How often is looked.
const LOOK: Duration = Duration::from_millis(10);

/// Looks again and again until there is something to be seen. Fails if that takes too long.
pub fn until<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(seen) = look()? {
            return Ok(seen);
        }
        if began.elapsed() > patience {
            bail!("{what}: not after {patience:?}");
        }
        thread::sleep(LOOK);
    }
}
