//! Watches over a platform at work, and drains it when it is to stop or something has failed.

use std::time::Duration;

use tokio::{
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    runtime::context_runtime::ContextRuntime, server::health::Health, store::Store, telemetry,
};

/// How often the stores are checked.
const CHECK: Duration = Duration::from_millis(500);
/// How often the recorder of the metrics does its upkeep.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// What failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// A port is not served any more.
    #[error("the {0} port is gone: {1}")]
    Port(&'static str, String),
    /// A worker has ended.
    #[error("a worker of {0} has ended")]
    Worker(&'static str),
    /// The disk under a store failed to sync.
    #[error("the store of {0} has stopped")]
    Store(&'static str),
    /// Not everything was finished in time.
    #[error("not everything was finished after {0:?}")]
    Grace(Duration),
    /// The watch itself.
    #[error("nobody watches")]
    Watch,
}

type Tasks = JoinSet<Result<(), Failed>>;

/// A platform at work, with what is needed to stop it in order.
pub(super) struct Watch {
    pub(super) sites: Vec<ContextRuntime>,
    pub(super) health: Health,
    pub(super) drain_delay: Duration,
    /// Cancelled from outside: the platform is to stop.
    pub(super) stop: CancellationToken,
    /// Cancelled by the watch, one after the other: the public port, the workers, the admin port.
    pub(super) serving: CancellationToken,
    pub(super) work: CancellationToken,
    pub(super) tending: CancellationToken,
    pub(super) serves: Tasks,
    pub(super) works: Tasks,
    pub(super) tends: Tasks,
}

impl Watch {
    /// Watches until the platform has stopped.
    pub(super) async fn run(mut self) -> Result<(), Failed> {
        let failed = tokio::select! {
            () = self.stop.cancelled() => None,
            failed = first(&mut self.serves) => Some(failed),
            failed = first(&mut self.works) => Some(failed),
            failed = first(&mut self.tends) => Some(failed),
            failed = stopped(&self.sites) => {
                // What was done last is unknown until the store is opened again. Nothing may be answered from it.
                self.health.report(vec![failed.to_string()]).await;
                return Err(failed);
            }
            never = look_after(&self.sites, &self.health) => match never {},
        };
        if let Some(failed) = &failed {
            tracing::error!(why = %failed, "failed");
        }
        self.drain().await;
        failed.map_or(Ok(()), Err)
    }

    async fn drain(&mut self) {
        tracing::info!("draining");
        let stops = vec!["it is to stop".to_owned()];
        self.health.report(stops).await;
        sleep(self.drain_delay).await;
        self.serving.cancel();
        all(&mut self.serves).await;
        self.work.cancel();
        all(&mut self.works).await;
        self.tending.cancel();
        all(&mut self.tends).await;
        tracing::info!("drained");
    }
}

/// The workers of a context. They end together, and not before they are told.
pub(super) async fn workers(
    context: &'static str,
    mut workers: JoinSet<()>,
    stop: CancellationToken,
) -> Result<(), Failed> {
    while let Some(ended) = workers.join_next().await {
        if ended.is_err() || !stop.is_cancelled() {
            return Err(Failed::Worker(context));
        }
    }
    Ok(())
}

/// Waits for the first task to end; none should.
async fn first(tasks: &mut Tasks) -> Failed {
    match tasks.join_next().await {
        Some(ended) => why(ended).err().unwrap_or(Failed::Watch),
        None => std::future::pending().await,
    }
}

async fn all(tasks: &mut Tasks) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(failed) = why(ended) {
            tracing::error!(why = %failed, "failed while draining");
        }
    }
}

fn why(ended: Result<Result<(), Failed>, JoinError>) -> Result<(), Failed> {
    ended.unwrap_or(Err(Failed::Watch))
}

/// Waits until a store has stopped for good.
async fn stopped(sites: &[ContextRuntime]) -> Failed {
    let stores = sites.iter().map(|site| {
        Box::pin(async {
            site.deps.store.stopped().await;
            Failed::Store(site.context.name)
        })
    });
    let stores: Vec<_> = stores.collect();
    if stores.is_empty() {
        return std::future::pending().await;
    }
    futures::future::select_all(stores).await.0
}

/// Keeps the recorder of the metrics small until the platform stops.
pub(super) async fn keep_metrics(stop: CancellationToken) -> Result<(), Failed> {
    while timeout(METRICS_UPKEEP, stop.cancelled()).await.is_err() {
        if let Some(metrics) = telemetry::metrics() {
            metrics.run_upkeep();
        }
    }
    Ok(())
}

/// Says whether the stores can be used.
async fn look_after(sites: &[ContextRuntime], health: &Health) -> std::convert::Infallible {
    loop {
        sleep(CHECK).await;
        let mut why_not = Vec::new();
        for site in sites {
            if let Err(error) = site.deps.store.look_at_fence().await {
                tracing::warn!(context = site.context.name, error = %error, "fence not seen");
            }
            why_not.extend(unusable(&site.deps.store).await);
        }
        health.report(why_not).await;
    }
}

/// Why a store cannot be used. One whose last commit failed is tried: nobody else may write to it when nobody is let in.
async fn unusable(store: &Store) -> Option<String> {
    if !store.is_failing() {
        return None;
    }
    let error = store.probe().await.err()?;
    tracing::warn!(context = store.context(), error = %error, "store cannot be used");
    Some(format!("the store of {}: {error}", store.context()))
}
