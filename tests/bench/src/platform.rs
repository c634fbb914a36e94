//! The platform under measurement, in processes of its own: one for all contexts, or one for each context.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use mesh::{Mesh, MeshOptions, PostgresOptions};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::machine;

/// How the platform runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// One process; embedded storage that syncs every commit.
    #[default]
    One,
    /// A process for each context; PostgreSQL that syncs every commit; NATS JetStream.
    Mesh,
}

impl Mode {
    /// Builds the binaries that this mode needs, with cargo's progress on stderr.
    pub(crate) fn build(self) -> Result<()> {
        match self {
            Self::One => mesh::build(&[BERTH]),
            Self::Mesh => mesh::build(&mesh::contexts()),
        }
    }

    /// Its name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Mesh => "mesh",
        }
    }
}

/// A running platform; stopped when dropped.
#[derive(Debug)]
pub(crate) struct Platform {
    runs: Runs,
    /// The time from start to readiness.
    pub(crate) ready_after: Duration,
}

#[derive(Debug)]
enum Runs {
    One(One),
    Mesh(Box<Mesh>),
}

#[derive(Debug)]
struct One {
    child: Child,
    address: String,
    admin: String,
}

impl Platform {
    /// Starts the platform on free ports with an empty store, and waits until it is ready. [`Mode::build`] must have built it.
    pub(crate) async fn start(mode: Mode, env: &[(&str, &str)]) -> Result<Self> {
        let begin = Instant::now();
        let runs = match mode {
            Mode::One => Runs::One(One::start(env).await?),
            Mode::Mesh => Runs::Mesh(Box::new(start_mesh(env).await?)),
        };
        Ok(Self {
            runs,
            ready_after: begin.elapsed(),
        })
    }

    /// The CPU seconds used so far by each part: processes, the database with its backends, the broker.
    pub(crate) fn cpu(&self) -> Result<BTreeMap<String, f64>> {
        let parts = self.parts().into_iter();
        parts
            .map(|(name, pid)| Ok((name, machine::cpu_seconds(pid)?)))
            .collect()
    }

    /// The resident memory of its processes in MiB, without database and broker.
    pub(crate) fn resident_mib(&self) -> Result<f64> {
        let ours = self.parts().into_iter();
        let ours = ours.filter(|(name, _)| name != POSTGRES && name != NATS);
        ours.map(|(_, pid)| machine::resident_mib(pid)).sum()
    }

    /// Opens connections to the port of a context.
    pub(crate) fn connect(&self, context: &str, count: usize) -> Result<Vec<Channel>> {
        match &self.runs {
            Runs::One(one) => connect(&one.address, count),
            Runs::Mesh(mesh) => {
                let replica = mesh.replicas(context).next().context("no such context")?;
                connect(&format!("http://{}", replica.public()), count)
            }
        }
    }

    /// The requests that `reservation` has shed so far, by its own metrics.
    pub(crate) fn shed(&self) -> Result<Shed> {
        Shed::read(&match &self.runs {
            Runs::One(one) => get(&one.admin)?,
            Runs::Mesh(mesh) => {
                let replica = mesh.replicas("reservation").next();
                replica.context("no reservation")?.metrics()?
            }
        })
    }

    /// The address of the one process.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        match &self.runs {
            Runs::One(one) => Ok(one.address.trim_start_matches("http://").parse()?),
            Runs::Mesh(_) => bail!("there are several processes"),
        }
    }

    /// Process id of the one process, or of the first of several.
    pub(crate) fn pid(&self) -> Result<u32> {
        let first = self.parts().into_iter().next();
        first.map(|(_, pid)| pid).context("no process runs")
    }

    /// The separate processes, in mode `mesh`.
    pub(crate) fn mesh(&mut self) -> Option<&mut Mesh> {
        match &mut self.runs {
            Runs::One(_) => None,
            Runs::Mesh(mesh) => Some(mesh),
        }
    }

    fn parts(&self) -> Vec<(String, u32)> {
        match &self.runs {
            Runs::One(one) => vec![("berth".to_owned(), one.child.id())],
            Runs::Mesh(mesh) => {
                let processes = mesh.processes.iter();
                let named =
                    processes.filter_map(|one| Some((one.context().to_owned(), one.pid()?)));
                let postgres = mesh.postgres.as_ref().and_then(mesh::Postgres::pid);
                let nats = mesh.nats.pid();
                let servers = [(POSTGRES, postgres), (NATS, nats)];
                let servers = servers
                    .into_iter()
                    .filter_map(|(name, pid)| Some((name.to_owned(), pid?)));
                named.chain(servers).collect()
            }
        }
    }
}

/// Shed requests.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shed {
    /// All of them.
    pub(crate) all: u64,
    /// Those answered within 5 ms.
    pub(crate) fast: u64,
}

impl Shed {
    fn read(metrics: &str) -> Result<Self> {
        let mut shed = Self::default();
        let is_shed = |line: &&str| {
            line.starts_with("berth_rpc_duration_seconds_bucket")
                && line.contains("code=\"UNAVAILABLE\"")
        };
        for line in metrics.lines().filter(is_shed) {
            let number = line.rsplit(' ').next().context("a number")?;
            if line.contains("le=\"+Inf\"") {
                shed.all += number.parse::<u64>()?;
            } else if line.contains("le=\"0.005\"") {
                shed.fast += number.parse::<u64>()?;
            }
        }
        Ok(shed)
    }

    /// The share answered within 5 ms.
    pub(crate) fn share(self) -> f64 {
        let number = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        number(self.fast) / number(self.all.max(1))
    }
}

/// Reads the metrics of an admin port.
fn get(admin: &str) -> Result<String> {
    let mut stream = TcpStream::connect(admin)?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nhost: bench\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// The binary with all contexts.
const BERTH: &str = "berth";
const POSTGRES: &str = "postgres";
const NATS: &str = "nats";

async fn start_mesh(env: &[(&str, &str)]) -> Result<Mesh> {
    let more = env.iter().chain(&[("BERTH_LOG", "warn")]);
    let options = MeshOptions {
        postgres: Some(PostgresOptions {
            settings: ["fsync=on", "full_page_writes=on", "shared_buffers=512MB"]
                .map(str::to_owned)
                .to_vec(),
            ..PostgresOptions::default()
        }),
        direct: true,
        env: more
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..MeshOptions::default()
    };
    Mesh::start(options).await
}

impl One {
    async fn start(env: &[(&str, &str)]) -> Result<Self> {
        let (public, admin) = (free_port()?, free_port()?);
        let listen = format!("127.0.0.1:{public}");
        let admin_listen = format!("127.0.0.1:{admin}");
        let ports = ["--listen", &listen, "--admin-listen", &admin_listen];
        let child = Command::new(mesh::binary(BERTH)?)
            .arg("--ephemeral")
            .args(ports)
            .envs(env.iter().copied())
            .env("BERTH_LOG", "warn")
            .stdout(Stdio::null())
            .spawn()
            .context("the platform could not be started")?;
        let mut one = Self {
            child,
            address: format!("http://{listen}"),
            admin: admin_listen.clone(),
        };
        one.wait(&format!("http://{admin_listen}")).await?;
        Ok(one)
    }

    async fn wait(&mut self, admin: &str) -> Result<()> {
        let mut health = HealthClient::new(Endpoint::from_shared(admin.to_owned())?.connect_lazy());
        let (begin, mut polls) = (
            Instant::now(),
            tokio::time::interval(Duration::from_millis(5)),
        );
        while begin.elapsed() < Duration::from_secs(30) {
            polls.tick().await;
            if let Some(status) = self.child.try_wait()? {
                bail!("the platform ended with {status}");
            }
            let request = HealthCheckRequest {
                service: "readiness".into(),
            };
            if let Ok(answer) = health.check(request).await
                && answer.get_ref().status() == ServingStatus::Serving
            {
                return Ok(());
            }
        }
        bail!("the platform was not ready after 30 s")
    }
}

impl Drop for One {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is free now.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Opens connections to an address.
pub(crate) fn connect(address: &str, count: usize) -> Result<Vec<Channel>> {
    let endpoint = Endpoint::from_shared(address.to_owned())?.tcp_nodelay(true);
    Ok((0..count).map(|_| endpoint.connect_lazy()).collect())
}
