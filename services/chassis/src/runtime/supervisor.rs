//! Supervises a running platform, and drains it when it is to stop or a task has failed.

use std::{convert::Infallible, time::Duration};

use futures::future::{join, join_all};
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
/// How long a store may take to show that it is usable.
const PROBE: Duration = Duration::from_secs(3);
/// How often the recorder of the metrics does its upkeep.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// What failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// A worker has ended.
    #[error("a worker of {0} has ended")]
    Worker(&'static str),
    /// The disk of a store failed to sync.
    #[error("the store of {0} has stopped")]
    Store(&'static str),
    /// The stop took longer than the drain delay and the grace period.
    #[error("the stop was not finished after {0:?}")]
    Grace(Duration),
    /// The supervisor has ended.
    #[error("the supervisor has ended")]
    Watch,
}

/// Tasks that are stopped together. None ends before it is stopped unless it fails.
#[derive(Default)]
pub(super) struct TaskGroup {
    stop: CancellationToken,
    tasks: JoinSet<Result<(), Failed>>,
}

impl TaskGroup {
    /// The token that is cancelled when the group is to stop.
    pub(super) fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    pub(super) fn spawn(
        &mut self,
        task: impl Future<Output = Result<(), Failed>> + Send + 'static,
    ) {
        self.tasks.spawn(task);
    }

    /// Waits for the first task that ends.
    async fn failed(&mut self) -> Failed {
        match self.tasks.join_next().await {
            Some(ended) => result(ended).err().unwrap_or(Failed::Watch),
            None => std::future::pending().await,
        }
    }

    /// Stops the tasks and waits until all have ended.
    async fn stop(&mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(failed) = result(ended) {
                tracing::error!(why = %failed, "failed while draining");
            }
        }
    }
}

fn result(ended: Result<Result<(), Failed>, JoinError>) -> Result<(), Failed> {
    ended.unwrap_or(Err(Failed::Watch))
}

/// A running platform.
pub(super) struct Supervisor {
    pub(super) contexts: Vec<ContextRuntime>,
    pub(super) health: Health,
    pub(super) drain_delay: Duration,
    /// Cancelled by [`Platform::stop`](super::platform::Platform::stop).
    pub(super) stop: CancellationToken,
    /// The tasks, in the order in which they are stopped.
    pub(super) public_port: TaskGroup,
    pub(super) workers: TaskGroup,
    pub(super) admin_port: TaskGroup,
}

impl Supervisor {
    /// Runs until the platform has stopped.
    pub(super) async fn run(mut self) -> Result<(), Failed> {
        let failed = tokio::select! {
            () = self.stop.cancelled() => None,
            failed = self.public_port.failed() => Some(failed),
            failed = self.workers.failed() => Some(failed),
            failed = self.admin_port.failed() => Some(failed),
            failed = stopped(&self.contexts) => {
                // Whether the last commit is on disk is unknown until the store is opened again. Nothing may be served.
                self.health.report(vec![failed.to_string()]).await;
                return Err(failed);
            }
            never = check_stores(&self.contexts, &self.health) => match never {},
        };
        if let Some(failed) = &failed {
            tracing::error!(why = %failed, "failed");
        }
        self.drain().await;
        failed.map_or(Ok(()), Err)
    }

    async fn drain(&mut self) {
        tracing::info!("draining");
        self.health
            .report(vec!["the process is stopping".to_owned()])
            .await;
        sleep(self.drain_delay).await;
        self.public_port.stop().await;
        self.workers.stop().await;
        self.admin_port.stop().await;
        tracing::info!("drained");
    }
}

/// Waits for the workers of a context. They end only when they are stopped.
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

/// Waits until a store has stopped for good.
async fn stopped(contexts: &[ContextRuntime]) -> Failed {
    let stores = contexts.iter().map(|context| {
        Box::pin(async {
            context.deps.store.stopped().await;
            Failed::Store(context.context.name)
        })
    });
    let stores: Vec<_> = stores.collect();
    if stores.is_empty() {
        return std::future::pending().await;
    }
    futures::future::select_all(stores).await.0
}

/// Runs the upkeep of the metrics until the platform stops.
pub(super) async fn keep_metrics(stop: CancellationToken) -> Result<(), Failed> {
    while timeout(METRICS_UPKEEP, stop.cancelled()).await.is_err() {
        if let Some(metrics) = telemetry::metrics() {
            metrics.run_upkeep();
        }
    }
    Ok(())
}

/// Keeps the readiness up to date with the state of the stores. They are checked side by side, so that one that does not
/// respond does not delay the others.
async fn check_stores(contexts: &[ContextRuntime], health: &Health) -> Infallible {
    loop {
        sleep(CHECK).await;
        let checks = contexts.iter().map(|context| check(&context.deps.store));
        let reasons = join_all(checks).await.into_iter().flatten();
        health.report(reasons.collect()).await;
    }
}

async fn check(store: &Store) -> Option<String> {
    let (fence, why_unusable) =
        join(timeout(PROBE, store.refresh_fence()), why_unusable(store)).await;
    if let Ok(Err(error)) = fence {
        tracing::warn!(context = store.context(), error = %error, "write fence could not be read");
    }
    why_unusable
}

/// Why a store cannot be used. A store whose last commit failed is probed: an unready process gets no commands that would
/// show that the store is usable again.
async fn why_unusable(store: &Store) -> Option<String> {
    if !store.is_failing() {
        return None;
    }
    let why = match timeout(PROBE, store.probe()).await {
        Ok(probed) => probed.err()?.to_string(),
        Err(_) => "the store does not respond".to_owned(),
    };
    tracing::warn!(context = store.context(), why, "store unusable");
    Some(format!("the store of {}: {why}", store.context()))
}
