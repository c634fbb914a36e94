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

/// The timeout of a start, including the recovery after a kill.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// The superuser of the cluster. Local clients need no password.
const OWNER: &str = "berth";

/// The options of a PostgreSQL server.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    /// Its port; `None` for a free one.
    pub port: Option<u16>,
    /// Additional settings, for example `["synchronous_commit=off"]`. By default there are 500 connections, and fsync is
    /// off, because tests kill processes and not the machine.
    pub settings: Vec<String>,
}

/// A PostgreSQL server with a new cluster; stopped and removed when dropped.
#[derive(Debug)]
pub struct Postgres {
    server: Option<Guarded>,
    program: Program,
    port: u16,
    settings: Vec<String>,
    dir: Dir,
}

impl Postgres {
    /// Creates a cluster, starts a server on it, and waits until it accepts connections.
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

    /// The URL of a database for the superuser. A new cluster has the database `postgres`.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{OWNER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs SQL in a database, and returns the output of `psql` without headers.
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

    /// The directory of its files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A consistent SQL dump of a schema, for [`Postgres::load`].
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

    /// Restores a schema from a dump, in one transaction.
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

    /// A copy of the whole cluster, like a standby that was disconnected now.
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

    /// Kills it if it runs, and starts it on the same port with a snapshot, as after a failover to a lagging standby or a
    /// restored backup. Later commits are lost.
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

    /// Starts an asynchronous standby on a port of its own. Its application name is `standby`.
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

    /// Disconnects a standby from its primary.
    pub fn cut_off(&self) -> Result<()> {
        self.sql("postgres", "ALTER SYSTEM SET primary_conninfo = ''")?;
        self.sql("postgres", "SELECT pg_reload_conf()")?;
        until("the standby is cut off", START_TIMEOUT, || {
            let receivers = self.sql("postgres", "SELECT COUNT(*) FROM pg_stat_wal_receiver")?;
            Ok((receivers.trim() == "0").then_some(()))
        })
    }

    /// Promotes a standby to a primary.
    pub fn promote(&self) -> Result<()> {
        let promoted = self.sql("postgres", "SELECT pg_promote()")?;
        ensure!(promoted.trim() == "t", "not promoted: {promoted}");
        Ok(())
    }

    /// Its process id, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Guarded::pid)
    }

    /// Kills it and all its backends with SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        let Some(mut server) = self.server.take() else {
            return Ok(());
        };
        // A paused server starts no new backends.
        server.signal(Signal::Stop)?;
        Signal::Kill.send(&children(server.pid()))?;
        server.kill()
    }

    /// Pauses it and all its backends with SIGSTOP: connections stay open, nothing is answered.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::Stop)
    }

    /// Resumes it.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::Cont)
    }

    /// Kills it if it runs, and starts it on the same port with the same data.
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
            // Without sockets and with mapped files a kill leaves no socket and no shared memory behind.
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
        // SIGQUIT, so that it removes its shared memory.
        let mut server = Guarded::spawn(&mut command, Signal::Quit)?;
        until("PostgreSQL accepts connections", START_TIMEOUT, || {
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

/// A copy of a cluster; removed when dropped.
#[derive(Debug)]
pub struct Snapshot(Dir);

fn data(dir: &Dir) -> PathBuf {
    dir.path().join("data")
}

/// Whether the server has recorded in `postmaster.pid` that it accepts connections.
fn is_ready(data: &Path, pid: u32) -> bool {
    let file = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let mut lines = file.lines().map(str::trim);
    lines.next() == Some(&pid.to_string()) && lines.nth(6) == Some("ready")
}

/// The running child processes of a process.
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
