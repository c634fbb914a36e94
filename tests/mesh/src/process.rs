//! A replica: one context as a process of its own.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use chassis::server::health::READINESS;
use servers::{Guarded, Signal, free_port};
use tokio::time::interval;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::binary::binary;

/// The timeout of a start and of a graceful stop.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// The polling interval.
const INTERVAL: Duration = Duration::from_millis(10);

/// Environment variables of a process.
pub type Env = BTreeMap<String, String>;

/// One context in a process of its own, on ports that it keeps across restarts; ended when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    context: String,
    binary: PathBuf,
    env: Env,
    public: SocketAddr,
    admin: SocketAddr,
    log: PathBuf,
    running: Option<Guarded>,
}

impl Process {
    /// A process that is not started yet. `name` is unique, for example `room-0`. `dir` gets its log and its data directory.
    pub fn new(context: &str, name: &str, dir: &Path, mut env: Env) -> Result<Self> {
        let port = || Ok::<_, anyhow::Error>(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)));
        let (public, admin) = (port()?, port()?);
        let data_dir = dir.join("data").join(name);
        let logs = dir.join("logs");
        let log = logs.join(format!("{name}.log"));
        fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
        let fixed = [
            ("BERTH_LISTEN", public.to_string()),
            ("BERTH_ADMIN_LISTEN", admin.to_string()),
            ("BERTH_DATA_DIR", data_dir.display().to_string()),
            ("BERTH_LOG_FORMAT", "json".to_owned()),
        ];
        env.extend(fixed.map(|(name, value)| (name.to_owned(), value)));
        Ok(Self {
            name: name.to_owned(),
            context: context.to_owned(),
            binary: binary(context)?,
            env,
            public,
            admin,
            log,
            running: None,
        })
    }

    /// Its name: `room-0`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its context.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// Its public port.
    pub fn public(&self) -> SocketAddr {
        self.public
    }

    /// Its admin port.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its process id, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(Guarded::pid)
    }

    /// A channel to its public port, without the balancer.
    pub fn channel(&self) -> Result<Channel> {
        channel(self.public)
    }

    /// Its log since its first start, one JSON object a line.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The file of its log.
    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// Sets an environment variable for its next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    /// Starts it without waiting until it is ready.
    pub fn spawn(&mut self) -> Result<()> {
        self.kill()?;
        let mut command = self.command()?;
        self.running = Some(Guarded::spawn(&mut command, Signal::Kill)?);
        Ok(())
    }

    /// Starts or restarts it, and waits until it is ready.
    pub async fn start(&mut self) -> Result<()> {
        self.spawn()?;
        self.ready().await
    }

    /// Runs a subcommand of the binary, for example `migrate`, to its end. It must succeed.
    pub async fn run(&self, subcommand: &str) -> Result<()> {
        let mut command = self.command()?;
        let mut running = Guarded::spawn(command.arg(subcommand), Signal::Kill)?;
        let ended = self.end_of(&mut running).await?;
        ensure!(
            ended.success(),
            "{} {subcommand} ended with {ended}:\n{}",
            self.name,
            self.last_lines()
        );
        Ok(())
    }

    /// Waits until its health service reports that it is ready.
    pub async fn ready(&mut self) -> Result<()> {
        let mut health = HealthClient::new(channel(self.admin)?);
        let (began, mut polls) = (Instant::now(), interval(INTERVAL));
        while began.elapsed() < PATIENCE {
            polls.tick().await;
            let running = self.running.as_mut().context("the process does not run")?;
            if let Some(status) = running.ended()? {
                bail!("{} ended with {status}:\n{}", self.name, self.last_lines());
            }
            let request = HealthCheckRequest {
                service: READINESS.to_owned(),
            };
            if let Ok(answer) = health.check(request).await
                && answer.get_ref().status() == ServingStatus::Serving
            {
                return Ok(());
            }
        }
        bail!("{} is not ready:\n{}", self.name, self.last_lines())
    }

    /// Kills it with SIGKILL if it runs.
    pub fn kill(&mut self) -> Result<()> {
        self.running.take().map_or(Ok(()), |mut it| it.kill())
    }

    /// Pauses it with SIGSTOP: connections stay open, nothing is answered.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::Stop)
    }

    /// Resumes it.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::Cont)
    }

    /// Stops it gracefully. It must end with exit code 0.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(mut running) = self.running.take() else {
            return Ok(());
        };
        running.signal(Signal::Term)?;
        let ended = self.end_of(&mut running).await?;
        ensure!(
            ended.success(),
            "{} ended with {ended}:\n{}",
            self.name,
            self.last_lines()
        );
        Ok(())
    }

    /// Its metrics: `/metrics` on its admin port.
    pub fn metrics(&self) -> Result<String> {
        get(self.admin, "/metrics")
    }

    /// The sum of a metric over all its labels.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let page = self.metrics()?;
        // `berth_consumer_lag{consumer="view.views"} 3`
        let values = page.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let value = rest
                .starts_with(['{', ' '])
                .then(|| rest.rsplit(' ').next());
            value??.parse::<f64>().ok()
        });
        Ok(values.sum())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        self.running
            .as_ref()
            .map_or(Ok(()), |running| running.signal(signal))
    }

    fn command(&self) -> Result<Command> {
        let mut command = Command::new(&self.binary);
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(&self.log);
        let log = log.with_context(|| format!("cannot write {}", self.log.display()))?;
        command
            .env_clear()
            .envs(&self.env)
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(command)
    }

    async fn end_of(&self, running: &mut Guarded) -> Result<ExitStatus> {
        let (began, mut polls) = (Instant::now(), interval(INTERVAL));
        while began.elapsed() < PATIENCE {
            polls.tick().await;
            if let Some(status) = running.ended()? {
                return Ok(status);
            }
        }
        bail!("{} does not end:\n{}", self.name, self.last_lines())
    }

    fn last_lines(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

/// A channel to a port, connected at the first use. Needs a running runtime.
pub fn channel(address: SocketAddr) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    Ok(endpoint.tcp_nodelay(true).connect_lazy())
}

/// Reads a page of HTTP.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP")?;
    ensure!(head.split(' ').nth(1) == Some("200"), "{head}");
    Ok(body.to_owned())
}
