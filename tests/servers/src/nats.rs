//! NATS with JetStream.

use std::{
    fs,
    io::{ErrorKind, Read},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    binaries::nats_server,
    guarded::{Dir, Guarded, Signal, tail},
    ports::free_port,
    wait::until,
};

/// The timeout of a start.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// The options of a NATS server.
#[derive(Clone, Debug, Default)]
pub struct NatsOptions {
    /// Its port; `None` for a free one.
    pub port: Option<u16>,
    /// Additional flags, for example `["--user", "berth", "--pass", "secret"]`.
    pub flags: Vec<String>,
}

/// A NATS server; stopped and removed when dropped.
#[derive(Debug)]
pub struct Nats {
    server: Option<Guarded>,
    binary: PathBuf,
    port: u16,
    flags: Vec<String>,
    dir: Dir,
}

impl Nats {
    /// Starts a server with an empty JetStream store, and waits until it accepts connections.
    pub fn start(options: NatsOptions) -> Result<Self> {
        let binary = nats_server().context("no nats-server: `cargo xtask tools` installs it")?;
        let mut nats = Self {
            server: None,
            binary,
            port: options.port.map_or_else(free_port, Ok)?,
            flags: options.flags,
            dir: Dir::new("nats")?,
        };
        nats.restart()?;
        Ok(nats)
    }

    /// `nats://127.0.0.1:4222`.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The directory of its files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its process id, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Guarded::pid)
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        self.server
            .take()
            .map_or(Ok(()), |mut server| server.kill())
    }

    /// Pauses it with SIGSTOP: connections stay open, nothing is answered.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::Stop)
    }

    /// Resumes it.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::Cont)
    }

    /// Kills it if it runs, and removes all streams and consumers. [`Nats::restart`] starts it empty.
    pub fn wipe(&mut self) -> Result<()> {
        self.kill()?;
        let store = self.store();
        match fs::remove_dir_all(&store) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", store.display()))
            }
            _ => Ok(()),
        }
    }

    /// Kills it if it runs, and starts it on the same port with the same store.
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        let log = self.dir.path().join("log");
        let mut command = Command::new(&self.binary);
        command
            .args(["--addr", "127.0.0.1", "--jetstream", "--port"])
            .arg(self.port.to_string())
            .arg("--store_dir")
            .arg(self.store())
            .args(&self.flags)
            .stdout(fs::File::create(&log)?)
            .stderr(fs::File::options().append(true).open(&log)?);
        let mut server = Guarded::spawn(&mut command, Signal::Kill)?;
        until("nats-server accepts connections", START_TIMEOUT, || {
            if let Some(status) = server.ended()? {
                bail!("nats-server ended with {status}:\n{}", tail(&log));
            }
            Ok(greets(self.port).then_some(()))
        })?;
        self.server = Some(server);
        Ok(())
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        self.server
            .as_ref()
            .map_or(Ok(()), |server| server.signal(signal))
    }
}

/// Whether a server on a port sends `INFO`, as NATS does to every new connection.
fn greets(port: u16) -> bool {
    let greeting = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).and_then(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        let mut word = [0; 4];
        stream.read_exact(&mut word)?;
        Ok(word)
    });
    greeting.is_ok_and(|word| &word == b"INFO")
}
