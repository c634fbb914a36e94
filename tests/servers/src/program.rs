//! Runs the binaries of a package as a user who is not root.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::binaries::{unpacked, with_libraries};

/// The binaries of a package. PostgreSQL and PgBouncer refuse to run as root, so root runs them as another user.
#[derive(Debug)]
pub(crate) struct Program {
    bin: PathBuf,
    dir: PathBuf,
    user: Option<(u32, u32)>,
}

impl Program {
    /// The binaries in `bin`, which work in `dir`. `name` is one of them.
    pub(crate) fn new(bin: PathBuf, name: &str, dir: &Path) -> Result<Self> {
        let superuser = fs::metadata(dir)?.uid() == 0;
        let user = superuser.then(nobody).transpose()?;
        let mut program = Self {
            bin,
            dir: dir.to_owned(),
            user,
        };
        program.own(dir)?;
        if user.is_some() && program.run(name, ["--version"]).is_err() {
            program.copy()?;
        }
        Ok(program)
    }

    /// Makes the user of the binaries the owner of a directory.
    pub(crate) fn own(&self, dir: &Path) -> Result<()> {
        match self.user {
            Some((uid, gid)) => Ok(chown(dir, Some(uid), Some(gid))?),
            None => Ok(()),
        }
    }

    /// Copies the binaries to a directory that the user can read: the tool cache may be private to its owner.
    fn copy(&mut self) -> Result<()> {
        let unpacked = unpacked(&self.bin).filter(|root| root.parent().is_some());
        let unpacked = unpacked
            .with_context(|| format!("{} cannot be run by another user", self.bin.display()))?;
        let copy = self.dir.join("unpacked");
        let copied = Command::new("cp")
            .arg("-R")
            .args([unpacked, &copy])
            .status()?;
        ensure!(copied.success(), "cannot copy {}", unpacked.display());
        self.bin = copy.join(self.bin.strip_prefix(unpacked)?);
        Ok(())
    }

    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        with_libraries(&mut command, &self.bin).current_dir(&self.dir);
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Runs a binary to its end, and returns what it printed.
    pub(crate) fn run(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<String> {
        let output = self.command(name).args(arguments).output();
        let output = output.with_context(|| format!("cannot run {name}"))?;
        ensure!(
            output.status.success(),
            "{name} ended with {}:\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned())
    }
}

/// The user id and group id of a user who is not root.
fn nobody() -> Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd")?;
    let find = |name: &str| {
        // postgres:x:101:104:…
        let mut fields = users
            .lines()
            .map(|line| line.split(':'))
            .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
        Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    find("postgres")
        .or_else(|| find("nobody"))
        .context("no user for its binaries: neither `postgres` nor `nobody`")
}
