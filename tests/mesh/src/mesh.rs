//! The mesh: servers, balancer and the processes of all contexts.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use chassis::security::service_identity::{self, DOCTOR, PUBLIC_KEYS};
use futures::future::{join_all, try_join_all};
use servers::{Dir, Nats, NatsOptions, Postgres, PostgresOptions};
use tonic::transport::Channel;

use crate::{
    balancer::Balancer,
    process::{Env, PATIENCE, Process, channel},
};

/// The options of a mesh.
#[derive(Clone, Debug)]
pub struct MeshOptions {
    /// The number of replicas of each context.
    pub replicas: usize,
    /// The database server of all contexts, with a schema for each. Without it each context has an SQLite file and one replica.
    pub postgres: Option<PostgresOptions>,
    /// The broker.
    pub nats: NatsOptions,
    /// Whether contexts call the first replica of each other directly, not through the balancer.
    pub direct: bool,
    /// More environment variables for every process, for example `BERTH_ADMIN_EMAIL`.
    pub env: Env,
    /// The address of the balancer's public port.
    pub listen: SocketAddr,
    /// The address of the balancer's metrics.
    pub admin_listen: SocketAddr,
}

impl Default for MeshOptions {
    fn default() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            replicas: 1,
            postgres: Some(PostgresOptions::default()),
            nats: NatsOptions::default(),
            direct: false,
            env: Env::new(),
            listen: any,
            admin_listen: any,
        }
    }
}

/// The platform with every replica in a process of its own, behind a balancer; stopped when dropped.
#[derive(Debug)]
pub struct Mesh {
    /// Every replica of every context.
    pub processes: Vec<Process>,
    /// The balancer before them.
    pub balancer: Balancer,
    /// The database server.
    pub postgres: Option<Postgres>,
    /// The broker.
    pub nats: Nats,
    env: Env,
    dir: Dir,
}

impl Mesh {
    /// Starts everything, and waits until every replica is ready.
    pub async fn start(options: MeshOptions) -> Result<Self> {
        let contexts = contexts();
        ensure!(
            options.replicas == 1 || options.postgres.is_some(),
            "several replicas need a server for their data"
        );
        let dir = Dir::new("mesh")?;
        let (postgres, nats) = (options.postgres.clone(), options.nats.clone());
        let postgres = background(move || postgres.map(Postgres::start).transpose());
        let nats = background(move || Nats::start(nats));
        let (postgres, nats) = tokio::try_join!(postgres, nats)?;
        let (listen, admin) = (options.listen, options.admin_listen);
        let names = contexts.clone();
        // It blocks on its own runtime, which async tasks must not do.
        let balancer = background(move || Balancer::start(&names, listen, admin)).await?;

        let env = env(&options, &dir, postgres.as_ref(), &nats)?;
        let mut processes = Vec::new();
        for context in contexts {
            for number in 0..options.replicas {
                let name = format!("{context}-{number}");
                let env = env_of(context, &env, dir.path(), &balancer);
                processes.push(Process::new(context, &name, dir.path(), env)?);
            }
        }
        if options.direct {
            connect_directly(&mut processes);
        }
        let mut mesh = Self {
            processes,
            balancer,
            postgres,
            nats,
            env,
            dir,
        };
        mesh.launch().await?;
        Ok(mesh)
    }

    async fn launch(&mut self) -> Result<()> {
        for process in &self.processes {
            self.balancer
                .add(process.context(), process.public(), process.admin())?;
        }
        if self.postgres.is_some() {
            self.run_once("migrate").await?;
        }
        self.run_once("provision").await?;
        try_join_all(self.processes.iter_mut().map(Process::start)).await?;
        self.ready().await
    }

    /// Runs a subcommand of every context, once for each.
    async fn run_once(&self, subcommand: &str) -> Result<()> {
        let firsts = contexts().into_iter();
        let firsts = firsts.filter_map(|context| self.replicas(context).next());
        try_join_all(firsts.map(|process| process.run(subcommand))).await?;
        Ok(())
    }

    /// Waits until every running replica is ready.
    pub async fn ready(&self) -> Result<()> {
        for context in contexts() {
            let count = self.replicas(context).filter(|one| one.pid().is_some());
            let count = count.count();
            self.balancer.until_ready(context, count, PATIENCE).await?;
        }
        Ok(())
    }

    /// The URL of the public port: `http://127.0.0.1:8080`.
    pub fn url(&self) -> String {
        format!("http://{}", self.balancer.public())
    }

    /// A channel to the public port.
    pub fn channel(&self) -> Result<Channel> {
        channel(self.balancer.public())
    }

    /// The replicas of a context.
    pub fn replicas(&self, context: &str) -> impl Iterator<Item = &Process> {
        let of_it = move |process: &&Process| process.context() == context;
        self.processes.iter().filter(of_it)
    }

    /// One replica, by its name: `room-0`.
    pub fn replica(&mut self, name: &str) -> Result<&mut Process> {
        self.processes
            .iter_mut()
            .find(|process| process.name() == name)
            .with_context(|| format!("there is no {name}"))
    }

    /// Restarts what runs of some contexts as a new version is rolled out: all of them at the same time, the replicas of each one after the
    /// other, the next when the one before is given work again.
    pub async fn roll(&mut self, contexts: &[&str]) -> Result<()> {
        let (balancer, processes) = (&self.balancer, &mut self.processes);
        let pools = processes.chunk_by_mut(|one, next| one.context() == next.context());
        let rolls = pools.map(|replicas| async move {
            let named = |one: &Process| contexts.contains(&one.context());
            let runs = |one: &&mut Process| named(one) && one.pid().is_some();
            let running: Vec<_> = replicas.iter_mut().filter(runs).collect();
            let count = running.len();
            for replica in running {
                replica.stop().await?;
                replica.start().await?;
                balancer
                    .until_ready(replica.context(), count, PATIENCE)
                    .await?;
            }
            Ok::<_, anyhow::Error>(())
        });
        try_join_all(rolls).await.map(drop)
    }

    /// Adds a replica of a context, and waits until it is given work. One is taken away by [`Process::stop`].
    pub async fn grow(&mut self, context: &str) -> Result<()> {
        let name = format!("{context}-{}", self.replicas(context).count());
        let env = env_of(context, &self.env, self.dir.path(), &self.balancer);
        let mut new = Process::new(context, &name, self.dir.path(), env)?;
        new.start().await?;
        self.balancer.add(context, new.public(), new.admin())?;
        let last = |one: &Process| one.context() == context;
        let place = self.processes.iter().rposition(last).unwrap_or_default();
        self.processes.insert(place + 1, new);
        self.ready().await
    }

    /// Where logs, and data on the embedded store, are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The errors and warnings that were logged last, to say what went wrong.
    fn complaints(&self) -> String {
        let wrong = |line: &&str| {
            let levels = [r#""level":"ERROR""#, r#""level":"WARN""#];
            levels.iter().any(|level| line.contains(level))
        };
        let of_one = |process: &Process| {
            let log = process.log();
            let lines: Vec<&str> = log.lines().rev().filter(wrong).take(5).collect();
            let lines = lines.into_iter().rev();
            let named = lines.map(|line| format!("{}: {line}", process.name()));
            named.collect::<Vec<_>>()
        };
        let all: Vec<_> = self.processes.iter().flat_map(of_one).collect();
        all.join("\n")
    }

    /// Stops all processes gracefully. Each must end with exit code 0.
    pub async fn stop(mut self) -> Result<()> {
        let stops = join_all(self.processes.iter_mut().map(Process::stop));
        stops.await.into_iter().collect()
    }
}

impl Drop for Mesh {
    /// Prints errors of the logs if a test has failed, because the logs are removed.
    #[expect(clippy::print_stderr, reason = "it explains a failed test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.complaints());
        }
    }
}

/// The names of all contexts.
pub fn contexts() -> Vec<&'static str> {
    all::contexts().iter().map(|context| context.name).collect()
}

/// The environment variables of all processes.
fn env(options: &MeshOptions, dir: &Dir, postgres: Option<&Postgres>, nats: &Nats) -> Result<Env> {
    let keys = keys_in(dir.path());
    let services = contexts().into_iter().chain([DOCTOR]);
    service_identity::provision(&keys, services)?;
    let list = keys.join(PUBLIC_KEYS).display().to_string();
    let mut env = Env::from([
        ("BERTH_SERVICE_KEYS".to_owned(), list),
        // The balancer notices NOT_SERVING at once; requests that it has sent before still arrive.
        ("BERTH_DRAIN_DELAY".to_owned(), "200ms".to_owned()),
        ("BERTH_NATS_URL".to_owned(), nats.url()),
    ]);
    if let Some(postgres) = postgres {
        let url = postgres.url("postgres");
        let url = format!("{url}?options=-csearch_path%3D{{context}}");
        env.insert("BERTH_DATABASE_URL".to_owned(), url);
    }
    env.extend(options.env.clone());
    Ok(env)
}

/// The directory of the service keys.
fn keys_in(dir: &Path) -> PathBuf {
    dir.join("keys")
}

/// The environment variables of the processes of a context: those of all, its service key, and the addresses of the other
/// contexts.
fn env_of(context: &str, env: &Env, dir: &Path, balancer: &Balancer) -> Env {
    let others = |ports: &std::collections::BTreeMap<String, SocketAddr>| {
        let others = ports.iter().filter(|(name, _)| *name != context);
        let named = others.map(|(name, address)| format!("{name}=http://{address}"));
        named.collect::<Vec<_>>().join(",")
    };
    let mut env = env.clone();
    let key = keys_in(dir).join(format!("{context}.key"));
    env.insert(
        "BERTH_SERVICE_KEY_FILE".to_owned(),
        key.display().to_string(),
    );
    env.insert("BERTH_PEERS".to_owned(), others(balancer.peers()));
    env.insert("BERTH_LOGS".to_owned(), others(balancer.logs()));
    env
}

/// Sets the addresses of the first replicas of the other contexts for every process.
fn connect_directly(processes: &mut [Process]) {
    let known: Vec<_> = processes
        .iter()
        .map(|one| (one.context().to_owned(), one.public(), one.admin()))
        .rev()
        .collect();
    for one in processes {
        let others = |of: fn(&(String, SocketAddr, SocketAddr)) -> SocketAddr| {
            let others = known.iter().filter(|(name, ..)| name != one.context());
            let named = others.map(|other| format!("{}=http://{}", other.0, of(other)));
            named.collect::<Vec<_>>().join(",")
        };
        let (peers, logs) = (others(|other| other.1), others(|other| other.2));
        one.set("BERTH_PEERS", &peers);
        one.set("BERTH_LOGS", &logs);
    }
}

/// Runs blocking work on a thread for it.
async fn background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await?
}
