//! The state file of `up`: locked while the platform runs, with the id of the process that owns it.

use std::{
    fs::{self, File, TryLockError},
    io::{ErrorKind, Read, Write},
    path::{Path, PathBuf},
    process,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use servers::{Signal, until};

/// The timeout of a stop.
const STOP_TIMEOUT: Duration = Duration::from_mins(1);

/// The locked state file of a running platform.
#[derive(Debug)]
pub(crate) struct State {
    path: PathBuf,
    file: File,
}

impl State {
    /// Locks the file. Fails if the platform is up already.
    pub(crate) fn lock(path: &Path) -> Result<Self> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!("the platform is up already; `cargo xtask down` stops it")
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        file.set_len(0)?;
        write!(file, "{}", process::id())?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Removes and unlocks the file.
    pub(crate) fn unlock(self) -> Result<()> {
        fs::remove_file(self.path)?;
        Ok(self.file.unlock()?)
    }
}

/// Stops the platform, and waits until all its processes have ended.
pub(crate) fn down(path: &Path) -> Result<()> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("The platform is not up.");
            return Ok(());
        }
        opened => opened?,
    };
    if file.try_lock().is_ok() {
        // Its owner was killed, and the guards have ended its processes.
        println!("The platform is not up.");
        return Ok(fs::remove_file(path)?);
    }
    let mut pid = String::new();
    file.read_to_string(&mut pid)?;
    let pid = pid.parse().context("the state file has no process id")?;
    Signal::Term.send(&[pid])?;
    until("the platform has stopped", STOP_TIMEOUT, || {
        Ok(file.try_lock().is_ok().then_some(()))
    })
}
