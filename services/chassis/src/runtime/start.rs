//! The steps of a start: from contexts and options to a platform that is ready.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use futures::{FutureExt, future::try_join_all};
use tokio_util::sync::CancellationToken;

use crate::{
    client::{peers::Peers, trust_renewal},
    messaging::{bus::Bus, consume_error::ConsumeError, log_service::EventLogs, relay::compare},
    runtime::{
        context::Context,
        context_runtime::{ContextRuntime, Wiring},
        inspection::Inspection,
        options::Options,
        ports,
        start_error::StartError,
        stores::open_store_on,
        supervisor,
        supervisor::{Supervisor, TaskGroup},
        wiring,
    },
    security::{
        access::Access,
        service_identity::{DOCTOR, ServiceKey, ServiceKeys, admin_port_of},
        tokens::Trust,
    },
    server::{Services, health::Health},
    store::{Store, StoreError},
};

/// File in the data directory with the key of the doctor, in a process that is not configured with public keys of services.
pub const OWN_KEY: &str = "service.key";
/// The context that issues tokens.
const MEMBER: &str = "member";
/// The share of the grace period in which workers may finish their last step: requests in flight are finished before.
const DRAIN_SHARE: u32 = 4;
/// Delay before a step of the start is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(250);
/// How long a start waits for the connection to the bus, so that logs are compared with it.
const CONNECTION: Duration = Duration::from_secs(2);
/// How often a store that is not ready is checked.
const STORE_POLL: Duration = Duration::from_secs(1);

/// The parts of a running platform.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) public: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) contexts: Vec<ContextRuntime>,
    pub(super) peers: Peers,
    pub(super) health: Health,
    /// Cancelled to stop the platform.
    pub(super) stop: CancellationToken,
}

pub(super) async fn start(
    contexts: Vec<Context>,
    options: Options,
) -> Result<(Running, Supervisor), StartError> {
    let config = &options.config;
    let (public_listener, public) = ports::listen(config.listen)?;
    let (admin_listener, admin) = ports::listen(config.admin_listen)?;

    // The admin port is served first: it reports that the process is alive and not ready.
    let health = Health::new(ports::services_of(&contexts)).await;
    let logs = EventLogs::new();
    let inspection = Inspection::new(&options.process, &health, options.clock.clone());
    let service_key = config.trust.service_key(&options.process)?;
    let service_keys = service_keys(&options)?;
    if let Some(key) = &service_key {
        service_keys.require(key)?;
    }
    let trust = Trust::new(config.trust.clone(), service_keys, options.clock.clone());
    let access = Access::new(&trust);
    let routes = ports::admin_routes(&health, &logs, &inspection)?;
    let routes = access.guard(&admin_port_of(&options.process), routes);
    let mut admin_port = ports::serve_admin(admin_listener, routes, &trust, &options);
    let stop_upkeep = admin_port.stop_token();
    admin_port.spawn(supervisor::keep_metrics(stop_upkeep));

    // The contexts, on their stores, and connected with each other.
    let peers = Peers::with(options.clock.clone(), options.faults.clone(), service_key);
    let stores = open_stores(&contexts, &options).await?;
    try_join_all(stores.iter().map(|store| await_schema(store, &health))).await?;
    logs.open(stores.clone());
    let wiring = wiring::connect(&options, &contexts, &stores, &peers).await?;
    let public_routes = ports::public_routes(&contexts, &health)?;
    let contexts = create_runtimes(contexts, stores, &wiring);
    let services = add_services(Services::new(public_routes), &contexts, &access, &peers);
    inspection.open(&contexts, &peers, &wiring.bus);

    // The workers, once it is certain that no log has lost events.
    detect_log_losses(&contexts, &wiring.bus).await;
    let mut workers = run_workers(&contexts, config.grace / DRAIN_SHARE);
    for context in &contexts {
        run_on_start(context).await;
    }
    follow_trust(&options, &contexts, &trust, &peers, &mut workers).await;

    // The public port last, when requests can be served.
    let public_port = ports::serve_public(public_listener, services, &options);
    health.set_ready().await;
    let running = Running {
        public,
        admin,
        contexts,
        peers,
        health,
        stop: CancellationToken::new(),
    };
    let supervisor = Supervisor {
        contexts: running.contexts.clone(),
        health: running.health.clone(),
        stop: running.stop.clone(),
        drain_delay: config.drain_delay,
        public_port,
        workers,
        admin_port,
    };
    Ok((running, supervisor))
}

/// The public keys of the services that are trusted. A process that is not configured with any creates a key for its operator
/// and trusts only that one.
fn service_keys(options: &Options) -> Result<ServiceKeys, StartError> {
    if let Some(keys) = options.config.trust.service_keys()? {
        return Ok(keys);
    }
    let dir: &Path = &options.config.data_dir;
    let key = ServiceKey::make(DOCTOR, &dir.join(OWN_KEY))
        .map_err(|error| StartError::DataDir(dir.display().to_string(), error))?;
    Ok(ServiceKeys::of([&key]))
}

async fn open_stores(contexts: &[Context], options: &Options) -> Result<Vec<Store>, StartError> {
    let config = &options.config;
    let opened = contexts.iter().map(|context| async {
        let (clock, faults) = (options.clock.clone(), options.faults.clone());
        open_store_on(context, &config.database, &config.data_dir, clock, faults)
            .await
            .map_err(|error| StartError::Store(context.name, error))
    });
    try_join_all(opened).await
}

/// Waits until the database of a store is available and another process has applied the missing migrations. Fails if its
/// claims have another format: to make them anew, all processes must be stopped.
async fn await_schema(store: &Store, health: &Health) -> Result<(), StartError> {
    let mut logged = String::new();
    loop {
        let why = match ready(store).await {
            Ok(missing) if missing.is_empty() => return Ok(()),
            Ok(missing) => format!("migrations are missing: {}", missing.join(", ")),
            Err(error @ StoreError::Claims(_)) => {
                return Err(StartError::Store(store.context(), error));
            }
            Err(error) => error.to_string(),
        };
        if why != logged {
            tracing::warn!(context = store.context(), why, "waiting for the store");
            let why_not = format!("the store of {}: {why}", store.context());
            health.report(vec![why_not]).await;
            logged = why;
        }
        tokio::time::sleep(STORE_POLL).await;
    }
}

/// The migrations that are missing. If there are none, tests the formats of claims.
async fn ready(store: &Store) -> Result<Vec<String>, StoreError> {
    let missing = store.schema().await?.missing;
    if missing.is_empty() {
        store.check_claims().await?;
    }
    Ok(missing)
}

fn create_runtimes(
    contexts: Vec<Context>,
    stores: Vec<Store>,
    wiring: &Wiring,
) -> Vec<ContextRuntime> {
    let contexts = contexts.into_iter().zip(stores);
    contexts
        .map(|(context, store)| ContextRuntime::new(context, store, wiring))
        .collect()
}

/// Adds the services of the contexts to the public port, and to the peers of this process.
fn add_services(
    mut services: Services,
    contexts: &[ContextRuntime],
    access: &Access,
    peers: &Peers,
) -> Services {
    for context in contexts {
        let name = context.context.name;
        let routes = context.routes(access);
        peers.add_local(name, routes.clone());
        services = if contexts.len() == 1 {
            services.only(routes)
        } else {
            services.and(name, routes)
        };
    }
    services
}

/// Compares each log with the high-water marks of the bus and of the consumers in this process, before any command is
/// decided on it. Consumers in other processes report their cursors when they subscribe.
async fn detect_log_losses(contexts: &[ContextRuntime], bus: &Arc<dyn Bus>) {
    for context in contexts {
        while let Err(why) = detect_log_loss(context, contexts, bus).await {
            tracing::warn!(context = context.context.name, why = %why, "log not compared yet");
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }
}

async fn detect_log_loss(
    context: &ContextRuntime,
    contexts: &[ContextRuntime],
    bus: &Arc<dyn Bus>,
) -> Result<(), ConsumeError> {
    context.deps.store.refresh_fence().await?;
    // The bus may be away.
    let _ = tokio::time::timeout(CONNECTION, bus.connected()).await;
    compare(&context.deps.store, bus).await?;
    let runs_here = |name: &str| contexts.iter().any(|context| context.context.name == name);
    for consumer in &context.consumers {
        if runs_here(consumer.producer().context()) {
            consumer.report_cursor().await?;
        }
    }
    Ok(())
}

fn run_workers(contexts: &[ContextRuntime], drain: Duration) -> TaskGroup {
    let mut group = TaskGroup::default();
    for context in contexts {
        let stop = group.stop_token();
        let tasks = context.run(&stop, drain);
        group.spawn(supervisor::workers(context.context.name, tasks, stop));
    }
    group
}

/// Keeps the keys and revocations of `member` up to date, if `member` runs here or is a peer.
async fn follow_trust(
    options: &Options,
    contexts: &[ContextRuntime],
    trust: &Trust,
    peers: &Peers,
    workers: &mut TaskGroup,
) {
    let runs_here = contexts
        .iter()
        .any(|context| context.context.name == MEMBER);
    if runs_here || options.peers.0.contains_key(MEMBER) {
        let stop = workers.stop_token();
        workers.spawn(trust_renewal::follow(trust.clone(), peers.clone(), stop).map(Ok));
        // A member who is signed in must not be rejected.
        trust.keys().first_copy().await;
    }
}

/// Runs [`Context::on_start`] until it succeeds, or the store is fenced and nothing can be changed.
async fn run_on_start(context: &ContextRuntime) {
    while let Err(why) = context.start().await {
        if context.deps.store.fenced().is_some() {
            return;
        }
        tracing::warn!(context = context.context.name, why = %why, "not started yet");
        tokio::time::sleep(RETRY_DELAY).await;
    }
}
