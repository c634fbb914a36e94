//! From contexts and options to a platform that is ready.

use std::{collections::BTreeMap, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use berth::{
    eventlog::v1::event_log_service_server::EventLogServiceServer,
    inspection::v1::inspection_service_server::InspectionServiceServer,
};
use futures::{
    FutureExt,
    future::{join_all, try_join_all},
};
use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::{
    client::{peers::Peers, trust_renewal},
    messaging::{
        bus::Bus, consumer::ConsumeError, in_process::InProcess, jetstream::JetStream,
        log_reader::LogReader, log_service::EventLogs, relay::compare, remote_log::RemoteLog,
    },
    runtime::{
        config::Config,
        context::Context,
        context_runtime::{ContextRuntime, Wiring},
        deps::Logs,
        inspection::Inspection,
        options::Options,
        start_error::StartError,
        stores::open_store_on,
        supervisor,
        supervisor::{Failed, Watch},
    },
    security::{access::Access, service_identity::ServiceKey, tokens::Trust},
    server,
    server::{RequestPipeline, Services, admin, health::Health, serve},
    store::Store,
};

/// Where a process that was given no service key keeps the one that it makes.
pub const OWN_KEY: &str = "service.key";
/// The context that issues tokens.
const MEMBER: &str = "member";
/// So many may be about to connect.
const BACKLOG: u32 = 1024;
/// How long a context rests that could not do what it does at its start.
const REST: Duration = Duration::from_millis(250);
/// How often a store is looked at that is not ready.
const LOOK: Duration = Duration::from_secs(1);

/// A platform that is ready.
pub(super) struct Started {
    pub(super) public: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) sites: Vec<ContextRuntime>,
    pub(super) peers: Peers,
    pub(super) health: Health,
    pub(super) stop: CancellationToken,
    pub(super) watch: Watch,
}

pub(super) async fn start(contexts: Vec<Context>, options: Options) -> Result<Started, StartError> {
    let config = &options.config;
    let (public_port, public) = listen(config.listen)?;
    let (admin_port, admin) = listen(config.admin_listen)?;
    let (stop, work, serving, tending) = <(
        CancellationToken,
        CancellationToken,
        CancellationToken,
        CancellationToken,
    )>::default();

    // The admin port comes first: it says that the process lives and is not ready.
    let health = Health::new(public_services(&contexts)).await;
    let logs = EventLogs::new();
    let inspection = Inspection::new(&options.process, &health, options.clock.clone());
    let service_key = config.trust.service_key()?;
    let believed = believed(service_key.as_ref(), &config.data_dir)?;
    let clock = options.clock.clone();
    let trust = Trust::new(config.trust.clone(), Some(believed), clock);
    let access = Access::new(&trust);
    let rpcs = admin_services(&health, &logs, &inspection)?;
    let rpcs = access.guard(&log_of(&options.process), rpcs);
    let rpcs = Services::new(rpcs);
    let rpcs = RequestPipeline::new(rpcs, &config.limits, tending.clone());
    let rpcs = admin::routes(options.log.clone(), rpcs);
    let mut tends = JoinSet::new();
    let (limits, done) = (config.limits.clone(), tending.clone());
    tends.spawn(async move {
        let end = serve(admin_port, rpcs, &limits, true, done).await;
        end.map_err(|error| Failed::Port("admin", error.to_string()))
    });
    tends.spawn(supervisor::keep_metrics(tending.clone()));

    let peers = Peers::with(options.clock.clone(), options.faults.clone(), service_key);
    let stores = open_stores(&contexts, &options).await?;
    join_all(stores.iter().map(|store| await_schema(store, &health))).await;
    logs.open(stores.clone());
    let around = surroundings(&options, &contexts, &stores, &peers).await?;
    let mut services = Services::new(public_rpcs(&contexts, &health)?);
    let one = contexts.len() == 1;
    let mut sites = Vec::with_capacity(contexts.len());
    for (context, store) in contexts.into_iter().zip(stores) {
        warn_of_missing_logs(&context, &around.logs);
        let site = ContextRuntime::new(context, store, &around);
        let routes = site.context.make_routes(&site.deps);
        let routes = access.guard(site.context.name, routes);
        peers.add_local(site.context.name, routes.clone());
        services = if one {
            services.only(routes)
        } else {
            services.and(site.context.name, routes)
        };
        sites.push(site);
    }
    inspection.open(&sites, &peers, &around.bus);

    look_back(&sites, &around.bus).await;
    let mut works = JoinSet::new();
    for site in &sites {
        works.spawn(supervisor::workers(
            site.context.name,
            site.run(&work),
            work.clone(),
        ));
    }
    for site in &sites {
        begin(site).await;
    }
    if sites.iter().any(|site| site.context.name == MEMBER) || options.peers.0.contains_key(MEMBER)
    {
        let follow = trust_renewal::follow(trust.clone(), peers.clone(), work.clone());
        works.spawn(follow.map(Ok));
        // Who is signed in already must not be turned away.
        trust.keys().first_copy().await;
    }

    let edge = RequestPipeline::new(services, &config.limits, serving.clone());
    let mut serves = JoinSet::new();
    let (limits, done) = (config.limits.clone(), serving.clone());
    serves.spawn(async move {
        let end = serve(public_port, edge, &limits, false, done).await;
        end.map_err(|error| Failed::Port("public", error.to_string()))
    });
    health.set_ready().await;

    let watch = Watch {
        sites: sites.clone(),
        health: health.clone(),
        drain_delay: config.drain_delay,
        stop: stop.clone(),
        serving,
        work,
        tending,
        serves,
        works,
        tends,
    };
    Ok(Started {
        public,
        admin,
        sites,
        peers,
        health,
        stop,
        watch,
    })
}

/// The key that services are known by. A process that was given none makes one for whoever operates it; nobody else has it,
/// so nothing is signed with it.
fn believed(given: Option<&ServiceKey>, dir: &Path) -> Result<ServiceKey, StartError> {
    match given {
        Some(key) => Ok(key.clone()),
        None => ServiceKey::make(&dir.join(OWN_KEY))
            .map_err(|error| StartError::DataDir(dir.display().to_string(), error)),
    }
}

/// Listens. After a restart everybody connects at once: the usual queue of 128 would have some of them believe that they
/// are connected.
fn queue(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen(address, error);
    let listener = queue(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

async fn open_stores(contexts: &[Context], options: &Options) -> Result<Vec<Store>, StartError> {
    let opened = contexts.iter().map(|context| async {
        let Config {
            database, data_dir, ..
        } = &options.config;
        let (clock, faults) = (options.clock.clone(), options.faults.clone());
        open_store_on(context, database, data_dir, clock, faults)
            .await
            .map_err(|error| StartError::Store(context.name, error))
    });
    try_join_all(opened).await
}

/// Waits until a store has all it needs: its database may be away, and its schema is brought up by somebody else.
async fn await_schema(store: &Store, health: &Health) {
    let mut told = String::new();
    loop {
        let lacks = match store.schema().await {
            Ok(schema) if schema.missing.is_empty() => return,
            Ok(schema) => format!("its schema lacks {}", schema.missing.join(", ")),
            Err(error) => error.to_string(),
        };
        if lacks != told {
            tracing::warn!(context = store.context(), why = %lacks, "waiting for the store");
            let why = format!("the store of {}: {lacks}", store.context());
            health.report(vec![why]).await;
            told = lacks;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The logs of this process and of the others, and the bus between them.
async fn surroundings(
    options: &Options,
    contexts: &[Context],
    stores: &[Store],
    peers: &Peers,
) -> Result<Wiring, StartError> {
    let add = |name: &str, address: &str| {
        let added = peers.add_remote(name, address);
        added.map_err(|error| StartError::Address(name.to_owned(), error))
    };
    for (context, address) in &options.peers.0 {
        add(context, address)?;
    }
    let reader = contexts.first().map_or("berth", |context| context.name);
    let mut logs: BTreeMap<String, Arc<dyn LogReader>> = BTreeMap::new();
    for (context, address) in &options.logs.0 {
        add(&log_of(context), address)?;
        let channel = peers.called_by(reader).to(&log_of(context));
        logs.insert(
            context.clone(),
            Arc::new(RemoteLog::new(context.clone(), channel)),
        );
    }
    let elsewhere = logs.clone();
    for store in stores {
        logs.insert(store.context().to_owned(), Arc::new(store.clone()));
    }
    let nats = &options.config.nats;
    let bus: Arc<dyn Bus> = match &options.bus {
        Some(bus) => bus.clone(),
        None if nats.nats_url.is_some() => {
            Arc::new(JetStream::connect(nats, &options.process, logs.clone()).await?)
        }
        None if elsewhere.is_empty() => InProcess::new(),
        None => return Err(StartError::NoBroker),
    };
    Ok(Wiring {
        peers: peers.clone(),
        logs: Arc::new(logs),
        bus,
        // Who signs tokens says in them what those who verify them expect.
        settings: options
            .settings
            .clone()
            .with(options.config.trust.clone())
            .with(options.config.lead.clone()),
    })
}

/// What the event log of a process is called by those who read it, and its whole admin port by those who show a token to it.
pub fn log_of(process: &str) -> String {
    format!("{process}.log")
}

fn warn_of_missing_logs(context: &Context, logs: &Logs) {
    for producer in context.listens_to() {
        if !logs.contains_key(&producer) {
            tracing::warn!(
                context = context.name,
                producer,
                "its events cannot be heard: no such log"
            );
        }
    }
}

/// Looks whether a log has gone back behind what the bus or another context of this process has seen of it, before
/// anything is decided on it. Contexts in other processes tell when they subscribe.
async fn look_back(sites: &[ContextRuntime], bus: &Arc<dyn Bus>) {
    for site in sites {
        while let Err(why) = look_back_of(site, sites, bus).await {
            tracing::warn!(context = site.context.name, why = %why, "log not looked at yet");
            tokio::time::sleep(REST).await;
        }
    }
}

async fn look_back_of(
    site: &ContextRuntime,
    sites: &[ContextRuntime],
    bus: &Arc<dyn Bus>,
) -> Result<(), ConsumeError> {
    site.deps.store.look_at_fence().await?;
    compare(&site.deps.store, bus).await?;
    let is_here = |name: &str| sites.iter().any(|site| site.context.name == name);
    let mut consumers = site.consumers.iter();
    while let Some(consumer) = consumers.find(|consumer| is_here(consumer.producer().context())) {
        consumer.report().await?;
    }
    Ok(())
}

/// Does what a context does once before it is ready, until it is done, or cannot be done because nothing can be changed.
async fn begin(site: &ContextRuntime) {
    while let Err(why) = site.start().await {
        if site.deps.store.fenced().is_some() {
            return;
        }
        tracing::warn!(context = site.context.name, why = %why, "not started yet");
        tokio::time::sleep(REST).await;
    }
}

/// The services of the contexts' own packages.
fn public_services(contexts: &[Context]) -> Vec<String> {
    contexts
        .iter()
        .flat_map(|context| server::services_of(&format!("berth.{}.v1", context.name)))
        .collect()
}

/// What the public port carries beside the contexts.
fn public_rpcs(contexts: &[Context], health: &Health) -> Result<Routes, StartError> {
    let mut services = public_services(contexts);
    services.push(HEALTH.to_owned());
    let routes = Routes::new(health.server());
    Ok(server::with_reflection(routes, &services)?)
}

const HEALTH: &str = "grpc.health.v1.Health";

/// What the admin port carries.
fn admin_services(
    health: &Health,
    logs: &EventLogs,
    inspection: &Inspection,
) -> Result<Routes, StartError> {
    let routes = Routes::new(health.server())
        .add_service(EventLogServiceServer::new(logs.clone()))
        .add_service(InspectionServiceServer::new(inspection.clone()));
    let services = [
        HEALTH,
        "berth.eventlog.v1.EventLogService",
        "berth.inspection.v1.InspectionService",
    ]
    .map(str::to_owned);
    Ok(server::with_reflection(routes, &services)?)
}
