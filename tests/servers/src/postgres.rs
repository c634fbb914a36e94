//! PostgreSQL.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    binaries::{postgres_bin, unpacked, with_libraries},
    guarded::{Dir, Guarded, Signal, tail},
    ports::free_port,
    wait::until,
};

/// How long a start may take, with the recovery of what a kill has left.
const PATIENCE: Duration = Duration::from_mins(1);
/// The superuser of the cluster. Everybody on this machine is believed to be it.
const OWNER: &str = "berth";

/// How a PostgreSQL server is started.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    /// Its port; a free one if none is given.
    pub port: Option<u16>,
    /// More settings, for example `["synchronous_commit=off"]`. There are 500 connections, and fsync is off: what is killed
    /// here is a process and not the machine.
    pub settings: Vec<String>,
}

/// A PostgreSQL server of our own with an empty cluster; gone when it is dropped.
#[derive(Debug)]
pub struct Postgres {
    server: Option<Guarded>,
    program: Program,
    port: u16,
    settings: Vec<String>,
    dir: Dir,
}

impl Postgres {
    /// Makes a cluster, starts a server on it, and waits until it takes connections.
    pub fn start(options: PostgresOptions) -> Result<Self> {
        let bin = postgres_bin()
            .context("no PostgreSQL from version 14 on: `cargo xtask tools` installs it")?;
        let dir = Dir::new("postgres")?;
        let program = Program::new(bin, dir.path())?;
        program.run(
            "initdb",
            ["--locale=C", "--encoding=UTF8", "--auth=trust", "--no-sync"]
                .iter()
                .chain(&[
                    "--username",
                    OWNER,
                    "--pgdata",
                    &data(&dir).display().to_string(),
                ]),
        )?;
        let mut postgres = Self {
            server: None,
            program,
            port: options.port.map_or_else(free_port, Ok)?,
            settings: options.settings,
            dir,
        };
        postgres.restart()?;
        Ok(postgres)
    }

    /// The URL of a database as its superuser. One is there from the beginning: `postgres`.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{OWNER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs SQL in a database and answers what `psql` prints, without headlines.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String> {
        let url = self.url(database);
        let flags = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"];
        let stop = [
            "--set",
            "ON_ERROR_STOP=1",
            "--dbname",
            &url,
            "--command",
            sql,
        ];
        self.program.run("psql", flags.iter().chain(&stop))
    }

    /// Where its files are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its process id, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Guarded::pid)
    }

    /// Kills it with all its connections, as if its machine had been switched off.
    pub fn kill(&mut self) -> Result<()> {
        let Some(mut server) = self.server.take() else {
            return Ok(());
        };
        // What stands still gets no more children.
        server.signal(Signal::Stop)?;
        Signal::Kill.send(&children(server.pid()))?;
        server.kill()
    }

    /// It stands still, with all its connections: they stay open, nothing is answered.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::Stop)
    }

    /// It goes on.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::Cont)
    }

    /// Kills it if it runs and starts it on the same port with the same data.
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        let log = self.dir.path().join("log");
        let data = data(&self.dir);
        let mut command = self.program.command("postgres");
        command
            .arg("-D")
            .arg(&data)
            .args(["-p", &self.port.to_string()]);
        let fixed = [
            "listen_addresses=127.0.0.1",
            // No path to a socket can be too long, and a kill leaves none, nor shared memory.
            "unix_socket_directories=",
            "dynamic_shared_memory_type=mmap",
            "max_connections=500",
            "fsync=off",
            "full_page_writes=off",
        ];
        let given = self.settings.iter().map(String::as_str);
        for setting in fixed.into_iter().chain(given) {
            command.args(["-c", setting]);
        }
        command
            .stdout(fs::File::create(&log)?)
            .stderr(fs::File::options().append(true).open(&log)?);
        // At its last word it takes its shared memory along.
        let mut server = Guarded::spawn(&mut command, Signal::Quit)?;
        until("PostgreSQL takes connections", PATIENCE, || {
            if let Some(status) = server.ended()? {
                bail!("postgres ended with {status}:\n{}", tail(&log));
            }
            Ok(is_ready(&data, server.pid()).then_some(()))
        })?;
        self.server = Some(server);
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let Some(server) = &self.server else {
            return Ok(());
        };
        if signal == Signal::Stop {
            server.signal(signal)?;
        }
        signal.send(&children(server.pid()))?;
        server.signal(signal)
    }
}

fn data(dir: &Dir) -> PathBuf {
    dir.path().join("data")
}

/// Whether a server says in its file that it takes connections.
fn is_ready(data: &Path, pid: u32) -> bool {
    let file = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let mut lines = file.lines().map(str::trim);
    lines.next() == Some(&pid.to_string()) && lines.nth(6) == Some("ready")
}

/// The processes that a process has started and that still are.
fn children(parent: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_child = |pid: &u32| {
        // 4711 (postgres: walwriter) S 4710 …
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after = stat.rsplit(')').next().unwrap_or_default();
        after.split_whitespace().nth(1) == Some(&parent.to_string())
    };
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(is_child)
        .collect()
}

/// The binaries of PostgreSQL, and as whom they are run: they refuse to work for the superuser of the machine.
#[derive(Debug)]
struct Program {
    bin: PathBuf,
    dir: PathBuf,
    user: Option<(u32, u32)>,
}

impl Program {
    /// The binaries in a folder, to work in a directory.
    fn new(bin: PathBuf, dir: &Path) -> Result<Self> {
        let superuser = fs::metadata(dir)?.uid() == 0;
        let user = superuser.then(nobody).transpose()?;
        if let Some((uid, gid)) = user {
            chown(dir, Some(uid), Some(gid))?;
        }
        let mut program = Self {
            bin,
            dir: dir.to_owned(),
            user,
        };
        if user.is_some() && program.run("postgres", ["--version"]).is_err() {
            program.fetch()?;
        }
        Ok(program)
    }

    /// Brings the binaries to where the user can reach them: a checkout may be where only its owner can go.
    fn fetch(&mut self) -> Result<()> {
        let unpacked = unpacked(&self.bin).filter(|root| root.parent().is_some());
        let unpacked = unpacked
            .with_context(|| format!("{} cannot be run by another user", self.bin.display()))?;
        let copy = self.dir.join("postgres");
        let copied = Command::new("cp")
            .arg("-R")
            .args([unpacked, &copy])
            .status()?;
        ensure!(copied.success(), "cannot copy {}", unpacked.display());
        self.bin = copy.join(self.bin.strip_prefix(unpacked)?);
        Ok(())
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        with_libraries(&mut command, &self.bin).current_dir(&self.dir);
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Runs one to its end and answers what it printed.
    fn run(
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

/// A user who is not the superuser: user and group.
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
        .context("no user for PostgreSQL: neither `postgres` nor `nobody`")
}
