//! Deadlines: aggregates that are due are handled, late perhaps, but never early. The deadline is part of the state and
//! changes with it.
//!
//! Most aggregates receive the command [`Aggregate::when_due`](crate::Aggregate::when_due). An aggregate that depends on an
//! external service (a payment provider, a mail server) has a *job*: a function that calls the service and gives the result
//! to the aggregate as a command. A job may run twice, so the call must be idempotent.
//!
//! An aggregate that could not be handled waits for a retry. The time of the retry is stored, so it survives a restart, and
//! aggregates that wait do not keep others waiting.

use std::{
    collections::BTreeSet,
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use tokio::time::{sleep, timeout};

use crate::{
    base::time::{SignedDuration, Timestamp},
    domain::event::{Cause, Publish},
    runtime::deps::{Deps, RetryLater},
    store::{Due, StoreError},
};

/// Maximum number of aggregates whose handling begins in one step.
const BATCH: usize = 64;
/// Maximum number of aggregates that are handled at the same time.
const CONCURRENT: usize = 256;
/// Longest time for one aggregate, so that a job that hangs does not occupy its slot for ever.
const LONGEST: Duration = Duration::from_mins(2);
/// Longest back-off in milliseconds.
const LONGEST_BACKOFF: i64 = 60_000;
/// Delay before a retry that could not be stored.
const UNSTORED: Duration = Duration::from_secs(1);

type Handle = dyn Fn(Deps, String) -> BoxFuture<'static, Result<(), RetryLater>> + Send + Sync;

/// Handles the aggregates of one kind when they are due.
#[derive(Clone)]
pub(crate) struct DueHandler {
    /// The kind.
    pub(crate) kind: &'static str,
    handle: Arc<Handle>,
}

impl fmt::Debug for DueHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "due handler for {}", self.kind)
    }
}

impl DueHandler {
    /// Gives the aggregate its command [`Aggregate::when_due`](crate::Aggregate::when_due).
    pub(crate) fn command<A: Publish>() -> Self {
        Self::job::<A, _, _>(|deps, id| async move {
            if let Some(command) = A::when_due() {
                let cause = Cause::by(format!("service:{}", deps.store.context()));
                deps.store.execute::<A>(id, command, &cause).await?;
            }
            Ok(())
        })
    }

    /// Runs a job.
    pub(crate) fn job<A, F, Fut>(job: F) -> Self
    where
        A: Publish,
        F: Fn(Deps, A::Id) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), RetryLater>> + Send + 'static,
    {
        let job = Arc::new(job);
        let handle: Arc<Handle> = Arc::new(move |deps, id| {
            let job = job.clone();
            Box::pin(async move {
                let id: A::Id = id.parse().map_err(|_| RetryLater("not an id".into()))?;
                job(deps, id).await
            })
        });
        Self {
            kind: A::KIND,
            handle,
        }
    }
}

/// Handles the aggregates of one context that are due. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Deadlines(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    deps: Deps,
    handlers: Vec<DueHandler>,
    /// Kinds and ids of the aggregates that are being handled.
    running: Mutex<BTreeSet<(String, String)>>,
}

impl Deadlines {
    pub(crate) fn new(deps: Deps, handlers: Vec<DueHandler>) -> Self {
        Self(Arc::new(Inner {
            deps,
            handlers,
            running: Mutex::default(),
        }))
    }

    /// Returns the work that is due and not running, as futures to await or spawn. Each returns whether it succeeded.
    pub(crate) async fn due(&self) -> Result<Vec<BoxFuture<'static, bool>>, StoreError> {
        let running = self.running().len();
        let free = CONCURRENT.saturating_sub(running).min(BATCH);
        let mut all: Vec<BoxFuture<'static, bool>> = Vec::new();
        if free == 0 {
            return Ok(all);
        }
        // Those that run are still due.
        for due in self.find(running + free).await? {
            let handlers = &mut self.0.handlers.iter();
            let Some(handler) = handlers.find(|handler| handler.kind == due.kind) else {
                continue;
            };
            if all.len() < free && self.running().insert(key(&due)) {
                let running = Running {
                    deadlines: self.clone(),
                    key: key(&due),
                };
                let work = (handler.handle)(self.0.deps.clone(), due.id.clone());
                all.push(self.clone().run(running, due, work).boxed());
            }
        }
        Ok(all)
    }

    /// Whether any work is running, or due and not waiting for its next attempt.
    pub(crate) async fn busy(&self) -> Result<bool, StoreError> {
        Ok(!self.running().is_empty() || !self.find(1).await?.is_empty())
    }

    async fn find(&self, limit: usize) -> Result<Vec<Due>, StoreError> {
        let kinds: Vec<_> = self.0.handlers.iter().map(|handler| handler.kind).collect();
        if kinds.is_empty() {
            return Ok(Vec::new());
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let deps = &self.0.deps;
        deps.store.due(kinds, deps.clock.now(), limit).await
    }

    /// Handles one aggregate.
    async fn run(
        self,
        _running: Running,
        due: Due,
        work: BoxFuture<'static, Result<(), RetryLater>>,
    ) -> bool {
        let done = match timeout(LONGEST, AssertUnwindSafe(work).catch_unwind()).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(RetryLater("panicked".into())),
            Err(_) => Err(RetryLater("took too long".into())),
        };
        if let Err(error) = &done {
            tracing::debug!(kind = %due.kind, id = %due.id, error = %error, "not yet");
            self.postpone(due).await;
        }
        done.is_ok()
    }

    async fn postpone(&self, due: Due) {
        let deps = &self.0.deps;
        let doublings = u32::try_from(due.failures.clamp(0, 10)).unwrap_or(0);
        let wait = SignedDuration::from_millis((100_i64 << doublings).min(LONGEST_BACKOFF));
        let retry = deps.clock.now().saturating_add(wait);
        let (kind, id) = key(&due);
        let stored = deps.store.postpone(due, retry.unwrap_or(Timestamp::MAX));
        if let Err(error) = stored.await {
            tracing::warn!(%kind, %id, error = %error, "retry not stored");
            sleep(UNSTORED).await;
        }
    }

    fn running(&self) -> MutexGuard<'_, BTreeSet<(String, String)>> {
        self.0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(due: &Due) -> (String, String) {
    (due.kind.clone(), due.id.clone())
}

/// Marks an aggregate as being handled, until that has ended or is aborted.
struct Running {
    deadlines: Deadlines,
    key: (String, String),
}

impl Drop for Running {
    fn drop(&mut self) {
        self.deadlines.running().remove(&self.key);
    }
}
