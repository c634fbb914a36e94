//! Files and directories that only their owner may use, whatever the umask.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    path::Path,
};

/// Creates a directory and its missing parents for the owner only. An existing one stays as it is, unless it is empty: then
/// nobody can have read anything in it.
pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(dir)?;
    #[cfg(unix)]
    if check(dir).is_err() && fs::read_dir(dir)?.next().is_none() {
        // Fails if the directory is somebody else's; `check` says what to do then.
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        let _ = fs::set_permissions(dir, private);
    }
    Ok(())
}

/// Creates a file that only its owner may read and write. Fails if it exists.
pub(crate) fn create(file: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)
}

/// Creates a file for its owner only, unless there is one.
pub(crate) fn create_if_missing(file: &Path) -> io::Result<()> {
    match create(file) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Writes a file that only its owner may read, or replaces it. No reader sees a part of it.
pub(crate) fn write(file: &Path, text: &str) -> io::Result<()> {
    let new = file.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    io::Write::write_all(&mut create(&new)?, text.as_bytes())?;
    fs::rename(&new, file)
}

/// Refuses an existing file or directory that others than its owner may use.
///
/// It is not tightened silently: who could read it may have done so, and an operator must know.
pub(crate) fn check(path: &Path) -> io::Result<()> {
    let mode = match fs::metadata(path) {
        Ok(found) => mode(&found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let others = mode & 0o077;
    if others == 0 {
        return Ok(());
    }
    let path = path.display();
    let why = format!("{path} has mode {mode:04o}, so others may use it: chmod go-rwx {path}");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

#[cfg(unix)]
fn mode(of: &fs::Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&of.permissions()) & 0o7777
}

/// Other systems have no such modes.
#[cfg(not(unix))]
fn mode(_: &fs::Metadata) -> u32 {
    0
}
