//! The data directory, locked by one process at a time.

use std::{
    fs::{self, File, TryLockError},
    path::Path,
};

use crate::runtime::start_error::StartError;

/// Creates and locks the data directory: each process on a SQLite database assumes that it is the only writer.
pub fn lock(dir: &Path) -> Result<File, StartError> {
    let name = || dir.display().to_string();
    let open = || {
        fs::create_dir_all(dir)?;
        File::create(dir.join("lock"))
    };
    let file = open().map_err(|error| StartError::DataDir(name(), error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::InUse(name())),
        Err(TryLockError::Error(error)) => Err(StartError::DataDir(name(), error)),
    }
}
