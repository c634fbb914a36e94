//! PgBouncer before a PostgreSQL.

use std::{
    fs,
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    binaries::pgbouncer_bin,
    guarded::{Dir, Guarded, Signal, tail},
    ports::free_port,
    program::Program,
    wait::until,
};

/// The timeout of a start.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A PgBouncer in transaction mode; stopped and removed when dropped.
#[derive(Debug)]
pub struct Pooler {
    port: u16,
    /// Declared first, so that it ends before its files are removed.
    _server: Guarded,
    _dir: Dir,
}

impl Pooler {
    /// Starts one before a server, `postgres://berth@127.0.0.1:5432/postgres`, and waits until it accepts connections.
    /// Every client has the user of that URL; there is no authentication.
    pub fn start(server: &str) -> Result<Self> {
        let bin = pgbouncer_bin().context("no pgbouncer: `cargo xtask tools` installs it")?;
        let (dir, port) = (Dir::new("pgbouncer")?, free_port()?);
        let program = Program::new(bin, "pgbouncer", dir.path())?;
        let settings = dir.path().join("pgbouncer.ini");
        fs::write(&settings, ini(server, port)?)?;
        let log = dir.path().join("log");
        let mut command = program.command("pgbouncer");
        command
            .arg(&settings)
            .stdout(fs::File::create(&log)?)
            .stderr(fs::File::options().append(true).open(&log)?);
        let mut running = Guarded::spawn(&mut command, Signal::Kill)?;
        until("PgBouncer accepts connections", START_TIMEOUT, || {
            if let Some(status) = running.ended()? {
                bail!("pgbouncer ended with {status}:\n{}", tail(&log));
            }
            Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                .ok()
                .map(drop))
        })?;
        Ok(Self {
            port,
            _server: running,
            _dir: dir,
        })
    }

    /// Its URL without a database: `postgres://berth@127.0.0.1:6432`.
    pub fn url(&self) -> String {
        format!("postgres://berth@127.0.0.1:{}", self.port)
    }
}

/// Its settings. The pool is small, so that clients share connections.
fn ini(server: &str, port: u16) -> Result<String> {
    let rest = server.strip_prefix("postgres://").context("no URL")?;
    let (user, rest) = rest.split_once('@').context("no user")?;
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    let (host, server_port) = authority.split_once(':').unwrap_or((authority, "5432"));
    let login = match user.split_once(':') {
        Some((user, password)) => format!("user={user} password={password}"),
        None => format!("user={user}"),
    };
    Ok(format!(
        "[databases]\n\
         * = host={host} port={server_port} {login}\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         auth_type = any\n\
         pool_mode = transaction\n\
         default_pool_size = 8\n"
    ))
}
