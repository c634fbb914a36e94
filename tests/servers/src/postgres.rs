//! PostgreSQL.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    binaries::postgres_bin,
    guarded::{Dir, Guarded, Signal, tail},
    ports::free_port,
    program::Program,
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
        let program = Program::new(bin, "postgres", dir.path())?;
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

    /// A schema with everything in it as SQL, for [`Postgres::load`]: what it was when this was asked, all of a piece.
    pub fn dump(&self, database: &str, schema: &str) -> Result<String> {
        let url = self.url(database);
        let flags = [
            "--clean",
            "--if-exists",
            "--schema",
            schema,
            "--dbname",
            &url,
        ];
        self.program.run("pg_dump", flags)
    }

    /// Brings a schema back as it was when it was dumped, all or nothing.
    pub fn load(&self, database: &str, dump: &str) -> Result<()> {
        let file = self.dir.path().join("dump.sql");
        fs::write(&file, dump)?;
        let (url, file) = (self.url(database), file.display().to_string());
        let flags = ["--no-psqlrc", "--quiet", "--single-transaction", "--set"];
        let rest = ["ON_ERROR_STOP=1", "--dbname", &url, "--file", &file];
        self.program
            .run("psql", flags.iter().chain(&rest))
            .map(drop)
    }

    /// A copy of the whole cluster as it is now, as a standby has it that gets nothing more.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let dir = Dir::new("postgres-snapshot")?;
        self.program.own(dir.path())?;
        let to = data(&dir).display().to_string();
        let from = format!("host=127.0.0.1 port={} user={OWNER}", self.port);
        let flags = [
            "--no-sync",
            "--checkpoint=fast",
            "--pgdata",
            &to,
            "--dbname",
            &from,
        ];
        self.program.run("pg_basebackup", flags)?;
        Ok(Snapshot(dir))
    }

    /// Kills it if it runs, and goes on on the same port with what a snapshot has: a failover to a standby that was behind,
    /// or a restored backup. What was committed since is lost.
    pub fn return_to(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.kill()?;
        let data = data(&self.dir);
        fs::remove_dir_all(&data)?;
        let from = self::data(&snapshot.0);
        let flags = [
            "-R".as_ref(),
            "-p".as_ref(),
            from.as_os_str(),
            data.as_os_str(),
        ];
        let copied = Command::new("cp").args(flags).status()?;
        ensure!(copied.success(), "cannot copy {}", from.display());
        self.restart()
    }

    /// A server on a port of its own that follows this one, a moment behind. Its name among the followers is `standby`.
    pub fn standby(&self) -> Result<Self> {
        let dir = Dir::new("postgres-standby")?;
        let bin = postgres_bin().context("no PostgreSQL")?;
        let program = Program::new(bin, "postgres", dir.path())?;
        let to = data(&dir).display().to_string();
        let from = format!(
            "host=127.0.0.1 port={} user={OWNER} application_name=standby",
            self.port
        );
        let flags = [
            "--no-sync",
            "--checkpoint=fast",
            "--write-recovery-conf",
            "--pgdata",
            &to,
            "--dbname",
            &from,
        ];
        program.run("pg_basebackup", flags)?;
        let mut standby = Self {
            server: None,
            program,
            port: free_port()?,
            settings: self.settings.clone(),
            dir,
        };
        standby.restart()?;
        Ok(standby)
    }

    /// A standby gets nothing more from whom it follows, and has what it has got by then.
    pub fn cut_off(&self) -> Result<()> {
        self.sql("postgres", "ALTER SYSTEM SET primary_conninfo = ''")?;
        self.sql("postgres", "SELECT pg_reload_conf()")?;
        until("the standby is cut off", PATIENCE, || {
            let receivers = self.sql("postgres", "SELECT COUNT(*) FROM pg_stat_wal_receiver")?;
            Ok((receivers.trim() == "0").then_some(()))
        })
    }

    /// A standby follows nobody any more, and takes writes.
    pub fn promote(&self) -> Result<()> {
        let promoted = self.sql("postgres", "SELECT pg_promote()")?;
        ensure!(promoted.trim() == "t", "not promoted: {promoted}");
        Ok(())
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

/// A copy of a cluster; gone when it is dropped.
#[derive(Debug)]
pub struct Snapshot(Dir);

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
