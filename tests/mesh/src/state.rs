//! Whether the platform is up, and whose it is: a file that is locked as long, with a process number in it.

use std::{
    fs::{self, File, TryLockError},
    io::{ErrorKind, Read, Write},
    path::{Path, PathBuf},
    process,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use servers::{Signal, until};

/// Longer than a stop should take.
const PATIENCE: Duration = Duration::from_mins(1);

/// It is up, and ours.
#[derive(Debug)]
pub(crate) struct State {
    path: PathBuf,
    file: File,
}

impl State {
    /// Says that it is up. Fails if it is already.
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
            Err(TryLockError::WouldBlock) => bail!("it is up already; `cargo xtask down` stops it"),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        file.set_len(0)?;
        write!(file, "{}", process::id())?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Says that it is down, and nothing is left of it.
    pub(crate) fn unlock(self) -> Result<()> {
        fs::remove_file(self.path)?;
        Ok(self.file.unlock()?)
    }
}

/// Tells whoever has it to stop, and waits until everything is gone.
pub(crate) fn down(path: &Path) -> Result<()> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("Nothing is up.");
            return Ok(());
        }
        opened => opened?,
    };
    if file.try_lock().is_ok() {
        // Whoever had it was killed, and guards have ended the rest.
        println!("Nothing is up.");
        return Ok(fs::remove_file(path)?);
    }
    let mut pid = String::new();
    file.read_to_string(&mut pid)?;
    let pid = pid.parse().context("nobody knows whose it is")?;
    Signal::Term.send(&[pid])?;
    until("everything is gone", PATIENCE, || {
        Ok(file.try_lock().is_ok().then_some(()))
    })
}
