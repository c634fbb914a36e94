//! A platform to be measured, release binaries as processes of their own: all in one, or one for each context.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use mesh::{Mesh, MeshOptions, NatsOptions, PostgresOptions};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::machine;

/// How the platform runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// One process, embedded storage that syncs every commit.
    #[default]
    One,
    /// A process for each context, PostgreSQL that syncs every commit, NATS JetStream.
    Mesh,
}

impl Mode {
    /// What it is called in a report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Mesh => "mesh",
        }
    }
}

/// A running platform; it is stopped when this goes.
#[derive(Debug)]
pub(crate) struct Platform {
    runs: Runs,
    /// How long it took from start to ready.
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
    /// Builds the release binaries, starts the platform on free ports with an empty store, and waits until it is ready.
    pub(crate) async fn start(mode: Mode, env: &[(&str, &str)]) -> Result<Self> {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--release", "--quiet", "--workspace", "--bins"])
            .status()
            .context("cargo build")?;
        if !built.success() {
            bail!("the release binaries could not be built");
        }
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

    /// The CPU seconds that each part has used so far: processes, the database with all that work for it, the broker.
    pub(crate) fn cpu(&self) -> Result<BTreeMap<String, f64>> {
        let parts = self.parts().into_iter();
        parts
            .map(|(name, pid)| Ok((name, machine::cpu_seconds(pid)?)))
            .collect()
    }

    /// Memory that its processes hold now, in MiB; without database and broker.
    pub(crate) fn resident_mib(&self) -> Result<f64> {
        let ours = self.parts().into_iter();
        let ours = ours.filter(|(name, _)| name != POSTGRES && name != NATS);
        ours.map(|(_, pid)| machine::resident_mib(pid)).sum()
    }

    /// Some connections to the port of a context.
    pub(crate) fn connect(&self, context: &str, count: usize) -> Result<Vec<Channel>> {
        match &self.runs {
            Runs::One(one) => connect(&one.address, count),
            Runs::Mesh(mesh) => {
                let replica = mesh.replicas(context).next().context("no such context")?;
                connect(&format!("http://{}", replica.public()), count)
            }
        }
    }

    /// What `reservation` has refused so far, as it counts itself.
    pub(crate) fn refusals(&self) -> Result<Refusals> {
        Refusals::read(&match &self.runs {
            Runs::One(one) => get(&one.admin)?,
            Runs::Mesh(mesh) => {
                let replica = mesh.replicas("reservation").next();
                replica.context("no reservation")?.metrics()?
            }
        })
    }

    /// Process id of the one process, or of the first of several.
    pub(crate) fn pid(&self) -> Result<u32> {
        let first = self.parts().into_iter().next();
        first.map(|(_, pid)| pid).context("nothing runs")
    }

    /// The platform as separate processes, if it is that.
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
                let nats = mesh.nats.as_ref().and_then(mesh::Nats::pid);
                let servers = [(POSTGRES, postgres), (NATS, nats)];
                let servers = servers
                    .into_iter()
                    .filter_map(|(name, pid)| Some((name.to_owned(), pid?)));
                named.chain(servers).collect()
            }
        }
    }
}

/// How many requests were refused.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Refusals {
    /// All of them.
    pub(crate) all: u64,
    /// Those that took 5 ms or less.
    pub(crate) fast: u64,
}

impl Refusals {
    fn read(metrics: &str) -> Result<Self> {
        let mut refusals = Self::default();
        let refused = |line: &&str| {
            line.starts_with("berth_rpc_duration_seconds_bucket")
                && line.contains("code=\"UNAVAILABLE\"")
        };
        for line in metrics.lines().filter(refused) {
            let number = line.rsplit(' ').next().context("a number")?;
            if line.contains("le=\"+Inf\"") {
                refusals.all += number.parse::<u64>()?;
            } else if line.contains("le=\"0.005\"") {
                refusals.fast += number.parse::<u64>()?;
            }
        }
        Ok(refusals)
    }

    /// Share of those that took 5 ms or less.
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
        nats: Some(NatsOptions::default()),
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
        let child = Command::new(binary()?)
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
        let (begin, mut look) = (
            Instant::now(),
            tokio::time::interval(Duration::from_millis(5)),
        );
        while begin.elapsed() < Duration::from_secs(30) {
            look.tick().await;
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
        // It is over either way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn binary() -> Result<PathBuf> {
    // This program lies beside it: target/release/bench.
    let mut path = std::env::current_exe()?;
    path.set_file_name("berth");
    Ok(path)
}

/// A port that is free now.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Some connections to an address.
pub(crate) fn connect(address: &str, count: usize) -> Result<Vec<Channel>> {
    let endpoint = Endpoint::from_shared(address.to_owned())?.tcp_nodelay(true);
    Ok((0..count).map(|_| endpoint.connect_lazy()).collect())
}
