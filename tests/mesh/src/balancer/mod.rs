//! A balancer as a cluster has one: it brings every request to a replica that is ready, and takes care that a replica that
//! goes is not noticed.
//!
//! - The public door routes by the package of the rpc: `/berth.room.v1.RoomService/GetRoom` goes to `room`.
//! - Every context has two doors of its own, for the other contexts: to its public and to its admin ports (event logs).
//! - Ready replicas take turns. One that says NOT_SERVING gets nothing more from that moment, and finishes what it has.
//! - What was never sent (nobody listens, the connection was closing) goes to another replica. Nothing else is sent twice:
//!   the caller alone knows whether it may be.

mod body;
mod door;
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
    door::{Door, Way},
    pool::Pool,
    replica::Port,
};
use crate::process::get;

/// How often it says that it lives.
const BEAT: Duration = Duration::from_millis(500);

/// A balancer at work, on threads of its own. Dropping it ends it at once.
#[derive(Debug)]
pub struct Balancer {
    runtime: Option<Runtime>,
    pools: BTreeMap<String, Arc<Pool>>,
    /// Whether replicas are ready has changed somewhere.
    changes: watch::Sender<()>,
    public: SocketAddr,
    admin: SocketAddr,
    peers: BTreeMap<String, SocketAddr>,
    logs: BTreeMap<String, SocketAddr>,
}

impl Balancer {
    /// Opens its doors; no context has a replica yet.
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
        let ways = pools
            .iter()
            .map(|(context, pool)| (context.clone(), Way(pool.clone(), Port::Public)));
        self.public = self.door(listen, Door::public(ways.collect(), own))?;
        self.admin = self.door(admin_listen, Door::metrics(pools.values().cloned()))?;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        for (context, pool) in &pools {
            let peer = self.door(any, Door::of(Way(pool.clone(), Port::Public)))?;
            let log = self.door(any, Door::of(Way(pool.clone(), Port::Admin)))?;
            self.peers.insert(context.clone(), peer);
            self.logs.insert(context.clone(), log);
        }
        let (pools, mut changes) = (self.pools.clone(), self.changes.subscribe());
        drop(self.runtime()?.spawn(async move {
            let mut beats = interval(BEAT);
            loop {
                let absent = pools.iter().filter(|(_, pool)| pool.ready() == 0);
                let why_not: Vec<_> = absent
                    .map(|(name, _)| format!("no {name} is ready"))
                    .collect();
                health.report(why_not).await;
                tokio::select! {
                    _ = beats.tick() => {}
                    // The sender is there as long as the balancer.
                    _ = changes.changed() => {}
                }
            }
        }));
        Ok(())
    }

    fn runtime(&self) -> Result<&Runtime> {
        self.runtime.as_ref().context("the balancer has ended")
    }

    fn door(&self, listen: SocketAddr, door: Door) -> Result<SocketAddr> {
        let runtime = self.runtime()?;
        let listener = runtime
            .block_on(TcpListener::bind(listen))
            .with_context(|| format!("cannot listen on {listen}"))?;
        let address = listener.local_addr()?;
        let http1 = door.speaks_http1();
        drop(runtime.spawn(async move {
            // It is open as long as there are threads. If it fails, whoever calls will notice.
            let _ = serve(
                listener,
                door,
                &Limits::default(),
                http1,
                CancellationToken::new(),
            )
            .await;
        }));
        Ok(address)
    }

    /// Where the public door is.
    pub fn public(&self) -> SocketAddr {
        self.public
    }

    /// Where the metrics of the balancer are: `/metrics`.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The doors to the contexts' public ports, for `BERTH_PEERS`.
    pub fn peers(&self) -> &BTreeMap<String, SocketAddr> {
        &self.peers
    }

    /// The doors to the contexts' admin ports, for `BERTH_LOGS`.
    pub fn logs(&self) -> &BTreeMap<String, SocketAddr> {
        &self.logs
    }

    /// Adds a replica of a context. It is given work when it says that it is ready.
    pub fn add(&self, context: &str, public: SocketAddr, admin: SocketAddr) -> Result<()> {
        let pool = self.pool(context)?;
        let replica = pool.add(public, admin);
        drop(self.runtime()?.spawn(replica.watch()));
        Ok(())
    }

    /// How many replicas of a context are given work.
    pub fn ready(&self, context: &str) -> usize {
        self.pools.get(context).map_or(0, |pool| pool.ready())
    }

    /// Waits until so many replicas of a context are given work. Fails if that takes too long.
    pub async fn until_ready(&self, context: &str, count: usize, patience: Duration) -> Result<()> {
        let (pool, mut changes) = (self.pool(context)?, self.changes.subscribe());
        let comes = async {
            while pool.ready() != count {
                changes.changed().await?;
            }
            Ok::<_, anyhow::Error>(())
        };
        let came = timeout(patience, comes).await;
        came.with_context(|| {
            let ready = pool.ready();
            format!("{ready} replicas of {context} are ready after {patience:?}, not {count}")
        })?
    }

    /// What was counted for a context, through all its doors.
    pub fn counts(&self, context: &str) -> Counts {
        self.pools
            .get(context)
            .map(|pool| pool.counts())
            .unwrap_or_default()
    }

    /// What it counted, as Prometheus reads it.
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
