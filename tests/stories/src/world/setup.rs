//! The set-up of a world: its processes, databases, broker and balancer.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

use chassis::{
    Context,
    client::addresses::Addresses,
    runtime::{options::Options, settings::Settings, stores},
    security::service_identity::{self, PUBLIC_KEYS},
};
use chassis_testing::Scratch;
use futures::future::join_all;
use mesh::balancer::Balancer;

use super::{ADMIN, Gate, Process, broker::Broker};
use crate::{mode::Mode, people::PASSWORD};

/// The lease of a leader. Short, so that a follower takes over soon after a crash.
const LEASE: Duration = Duration::from_millis(500);

/// The settings of every context, parsed from flags.
pub(super) fn settings(flags: &[&str]) -> Settings {
    let contexts = all::contexts();
    let types = contexts.iter().flat_map(|context| context.settings.clone());
    let types: Vec<_> = types.collect();
    let command = types
        .iter()
        .fold(clap::Command::new("world"), |command, settings| {
            settings.augment(command)
        });
    let operator = ["--admin-email", ADMIN, "--admin-password", PASSWORD];
    let words = ["world"].iter().chain(&operator).chain(flags);
    let matches = command.try_get_matches_from(words).expect("flags");
    Settings::read(&types, &matches).expect("settings")
}

/// The infrastructure of a world. It is dropped after the processes.
#[derive(Debug, Default)]
pub(super) struct Infrastructure {
    /// Balances requests between replicas.
    pub(super) balancer: Option<Balancer>,
    /// The database of each context.
    databases: BTreeMap<&'static str, Database>,
    broker: Option<Broker>,
}

/// A schema of its own for a context, behind a gate.
#[derive(Debug)]
struct Database {
    scratch: Scratch,
    gate: Gate,
}

impl Infrastructure {
    /// The infrastructure of a mode.
    pub(super) async fn of(mode: Mode) -> Self {
        if mode == Mode::One {
            return Self::default();
        }
        let contexts = all::contexts().into_iter();
        let databases = join_all(contexts.map(async |context| {
            let scratch = Scratch::new().await;
            let gate = Gate::before(server(&scratch.url())).await;
            (context.name, Database { scratch, gate })
        }));
        let balancer = match mode {
            Mode::Twins => Some(balancer().await),
            _ => None,
        };
        Self {
            balancer,
            databases: databases.await.into_iter().collect(),
            broker: Some(Broker::new().await),
        }
    }

    /// The gate before the database of a context.
    pub(super) fn database(&self, context: &str) -> &Gate {
        &self.databases.get(context).expect("a database").gate
    }

    /// The schema of a context, if it has one.
    pub(super) fn scratch(&self, context: &str) -> Option<&Scratch> {
        self.databases
            .get(context)
            .map(|database| &database.scratch)
    }

    /// The gate before the broker.
    pub(super) fn broker(&self) -> &Gate {
        &self.broker.as_ref().expect("a broker").gate
    }

    /// The processes of a mode. None of them is started.
    pub(super) async fn processes(&self, mode: Mode, dir: &Path, base: &Options) -> Vec<Process> {
        let contexts = all::contexts();
        if mode == Mode::One {
            let names = contexts.iter().map(|context| context.name).collect();
            return vec![Process::of(names, base.clone())];
        }
        let names = contexts.iter().map(|context| context.name);
        service_identity::provision(dir, names).expect("writes");
        let mut base = base.clone();
        base.config.trust.service_keys = Some(dir.join(PUBLIC_KEYS));
        base.config.lead.lease = LEASE;
        if let Some(broker) = &self.broker {
            base.config.nats = broker.settings();
        }
        let each = contexts.iter().map(async |context| {
            let mut options = base.clone();
            context.name.clone_into(&mut options.process);
            let key = dir.join(format!("{}.key", context.name));
            options.config.trust.service_key_file = Some(key);
            if let Some(database) = self.databases.get(context.name) {
                let url = database.scratch.url();
                let url = url.replace(server(&url), &database.gate.address().to_string());
                options.config.database.database_url = Some(url.into());
                migrate(context, &options).await;
            }
            let replicas = (0..mode.replicas()).map(|number| {
                let name = format!("{}-{number}", context.name);
                options.config.data_dir = dir.join(name);
                Process::of(vec![context.name], options.clone())
            });
            replicas.collect::<Vec<_>>()
        });
        let mut processes: Vec<_> = join_all(each).await.into_iter().flatten().collect();
        self.connect(&mut processes);
        processes
    }

    /// Configures every process with the addresses of the others.
    fn connect(&self, processes: &mut [Process]) {
        let direct = |port: fn(&Process) -> SocketAddr| {
            let named = processes
                .iter()
                .map(|process| (process.context(), port(process)));
            named.map(|(name, at)| (name.to_owned(), at)).collect()
        };
        let (peers, logs): (BTreeMap<String, SocketAddr>, _) = match &self.balancer {
            Some(balancer) => (balancer.peers().clone(), balancer.logs().clone()),
            None => (direct(Process::public), direct(Process::admin)),
        };
        for process in processes {
            let own = process.context();
            let others = |all: &BTreeMap<String, SocketAddr>| {
                let others = all.iter().filter(|(name, _)| *name != own);
                let urls = others.map(|(name, at)| (name.clone(), format!("http://{at}")));
                Addresses(urls.collect())
            };
            let (peers, logs) = (others(&peers), others(&logs));
            process.options().peers = peers;
            process.options().logs = logs;
            if let Some(balancer) = &self.balancer {
                let added = balancer.add(own, process.public(), process.admin());
                added.expect("a replica");
            }
        }
    }
}

/// Migrates the schema of a context, as `<context> migrate` does.
async fn migrate(context: &Context, options: &Options) {
    let (config, clock, faults) = (&options.config, &options.clock, &options.faults);
    let (database, dir) = (&config.database, &config.data_dir);
    let store = stores::open_store_on(context, database, dir, clock.clone(), faults.clone());
    let store = store.await.expect("opens");
    store.migrate().await.expect("migrates");
}

async fn balancer() -> Balancer {
    // It blocks on its own threads, which a task must not.
    let start = || {
        let contexts = all::contexts();
        let names: Vec<_> = contexts.iter().map(|context| context.name).collect();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Balancer::start(&names, any, any)
    };
    let started = tokio::task::spawn_blocking(start).await.expect("ends");
    started.expect("a balancer")
}

/// Host and port: `127.0.0.1:5432` of `postgres://berth@127.0.0.1:5432/postgres`.
pub(super) fn server(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    authority.rsplit('@').next().unwrap_or(authority)
}
