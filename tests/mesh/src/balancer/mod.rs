//! A load balancer like that of a cluster: it sends every request to a ready replica, so that clients do not notice the stop
//! of a replica.
//!
//! - The public port routes by the package of the rpc: `/berth.room.v1.RoomService/GetRoom` goes to `room`.
//! - Every context has two ports of its own for the other contexts: one leads to the public ports of its replicas, one to
//!   their admin ports (event logs).
//! - Requests are distributed round-robin. A replica that reports NOT_SERVING gets no new requests and finishes its current ones.
//! - A request that was never sent (connection refused or closing) goes to another replica. No other request is retried,
//!   because only the caller knows whether it is idempotent.

mod body;
mod listener;
mod pool;
mod replica;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use chassis::server::{health::Health, limits::Limits, serve, services_of, with_reflection};
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    sync::watch,
    time::{interval, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

pub use self::pool::Counts;
use self::{
    listener::{Handler, Route},
    pool::Pool,
    replica::Port,
};
use crate::process::get;

/// The interval of its heartbeats for the liveness check.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// A running balancer on threads of its own. Dropping it stops it at once.
#[derive(Debug)]
pub struct Balancer {
    runtime: Option<Runtime>,
    pools: BTreeMap<String, Arc<Pool>>,
    /// Notified when the readiness of any replica changes.
    changes: watch::Sender<()>,
    public: SocketAddr,
    admin: SocketAddr,
    peers: BTreeMap<String, SocketAddr>,
    logs: BTreeMap<String, SocketAddr>,
}

impl Balancer {
    /// Opens its ports. No context has a replica yet.
    pub fn start(contexts: &[&str], listen: SocketAddr, admin_listen: SocketAddr) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("balancer")
            .enable_all()
            .build()?;
        let changes = watch::Sender::new(());
        let pools = contexts.iter().map(|context| {
            (
                (*context).to_owned(),
                Arc::new(Pool::new(context, changes.clone())),
            )
        });
        let mut balancer = Self {
            runtime: Some(runtime),
            pools: pools.collect(),
            changes,
            public: listen,
            admin: admin_listen,
            peers: BTreeMap::new(),
            logs: BTreeMap::new(),
        };
        balancer.open(listen, admin_listen)?;
        Ok(balancer)
    }

    fn open(&mut self, listen: SocketAddr, admin_listen: SocketAddr) -> Result<()> {
        let pools = self.pools.clone();
        let services = pools
            .keys()
            .flat_map(|context| services_of(&format!("berth.{context}.v1")));
        let services: Vec<String> = services.collect();
        let health = self.runtime()?.block_on(Health::new(services.clone()));
        let own = Routes::new(health.server());
        let named = [services, vec!["grpc.health.v1.Health".to_owned()]].concat();
        let own = with_reflection(own, &named)?;
        let routes = pools
            .iter()
            .map(|(context, pool)| (context.clone(), Route(pool.clone(), Port::Public)));
        self.public = self.listen(listen, Handler::public(routes.collect(), own))?;
        self.admin = self.listen(admin_listen, Handler::metrics(pools.values().cloned()))?;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        for (context, pool) in &pools {
            let peer = self.listen(any, Handler::of(Route(pool.clone(), Port::Public)))?;
            let log = self.listen(any, Handler::of(Route(pool.clone(), Port::Admin)))?;
            self.peers.insert(context.clone(), peer);
            self.logs.insert(context.clone(), log);
        }
        let (pools, mut changes) = (self.pools.clone(), self.changes.subscribe());
        drop(self.runtime()?.spawn(async move {
            let mut heartbeats = interval(HEARTBEAT);
            loop {
                let absent = pools.iter().filter(|(_, pool)| pool.ready() == 0);
                let why_not: Vec<_> = absent
                    .map(|(name, _)| format!("no {name} is ready"))
                    .collect();
                health.report(why_not).await;
                tokio::select! {
                    _ = heartbeats.tick() => {}
                    // The sender exists as long as the balancer.
                    _ = changes.changed() => {}
                }
            }
        }));
        Ok(())
    }

    fn runtime(&self) -> Result<&Runtime> {
        self.runtime.as_ref().context("the balancer has ended")
    }

    fn listen(&self, listen: SocketAddr, handler: Handler) -> Result<SocketAddr> {
        let runtime = self.runtime()?;
        let listener = runtime
            .block_on(TcpListener::bind(listen))
            .with_context(|| format!("cannot listen on {listen}"))?;
        let address = listener.local_addr()?;
        let http1 = handler.speaks_http1();
        drop(runtime.spawn(async move {
            // It runs as long as the runtime.
            let (limits, never) = (Limits::default(), CancellationToken::new());
            serve(listener, handler, &limits, http1, never).await;
        }));
        Ok(address)
    }

    /// The address of the public port.
    pub fn public(&self) -> SocketAddr {
        self.public
    }

    /// The address of its metrics: `/metrics`.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The ports that lead to the contexts' public ports, for `BERTH_PEERS`.
    pub fn peers(&self) -> &BTreeMap<String, SocketAddr> {
        &self.peers
    }

    /// The ports that lead to the contexts' admin ports, for `BERTH_LOGS`.
    pub fn logs(&self) -> &BTreeMap<String, SocketAddr> {
        &self.logs
    }

    /// Adds a replica of a context. It gets requests when it reports that it is ready.
    pub fn add(&self, context: &str, public: SocketAddr, admin: SocketAddr) -> Result<()> {
        let pool = self.pool(context)?;
        let replica = pool.add(public, admin);
        drop(self.runtime()?.spawn(replica.watch()));
        Ok(())
    }

    /// Adds an address behind which something else balances, such as a Service of Kubernetes; its requests are unary. One that
    /// was not processed is sent there again, so often.
    pub fn add_service(&self, context: &str, address: SocketAddr, again: usize) -> Result<()> {
        let pool = self.pool(context)?;
        for _ in 0..=again {
            pool.add_service(address);
        }
        Ok(())
    }

    /// The number of ready replicas of a context.
    pub fn ready(&self, context: &str) -> usize {
        self.pools.get(context).map_or(0, |pool| pool.ready())
    }

    /// Waits until a number of replicas of a context are ready. Fails after a timeout.
    pub async fn until_ready(&self, context: &str, count: usize, wait: Duration) -> Result<()> {
        let (pool, mut changes) = (self.pool(context)?, self.changes.subscribe());
        let ready = async {
            while pool.ready() != count {
                changes.changed().await?;
            }
            Ok::<_, anyhow::Error>(())
        };
        let result = timeout(wait, ready).await;
        result.with_context(|| {
            let ready = pool.ready();
            format!("{ready} replicas of {context} are ready after {wait:?}, not {count}")
        })?
    }

    /// The counters of a context, through all its ports.
    pub fn counts(&self, context: &str) -> Counts {
        self.pools
            .get(context)
            .map(|pool| pool.counts())
            .unwrap_or_default()
    }

    /// Its counters in the text format of Prometheus.
    pub fn metrics(&self) -> Result<String> {
        get(self.admin, "/metrics")
    }

    fn pool(&self, context: &str) -> Result<&Arc<Pool>> {
        self.pools
            .get(context)
            .with_context(|| format!("there is no context {context}"))
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
