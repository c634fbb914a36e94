//! The data directory, locked by one process at a time.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use crate::{base::private_files, runtime::start_error::StartError};

/// Creates and locks the data directory: each process on a SQLite database assumes that it is the only writer. Only the user
/// of the process may use it.
pub fn lock(dir: &Path) -> Result<File, StartError> {
    let name = || dir.display().to_string();
    let open = || {
        private_files::create_dir(dir)?;
        private_files::check(dir)?;
        let lock = dir.join("lock");
        private_files::create_if_missing(&lock)?;
        File::options().write(true).open(lock)
    };
    let file = open().map_err(|error| StartError::DataDir(name(), error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::InUse(name())),
        Err(TryLockError::Error(error)) => Err(StartError::DataDir(name(), error)),
    }
}
