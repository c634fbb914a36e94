//! Deadlines: aggregates that are due are handled, late perhaps, but never early. The deadline is part of the state and
//! changes with it.
//!
//! Most aggregates receive the command [`Aggregate::when_due`](crate::Aggregate::when_due). An aggregate that depends on an
//! external service (a payment provider, a mail server) has a *job*: a function that calls the service and gives the result
//! to the aggregate as a command. A job may run twice, so the call must be idempotent.

use std::{
    collections::BTreeMap,
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{FutureExt, future::BoxFuture};

use crate::{
    base::time::{SignedDuration, Timestamp},
    domain::event::{Cause, Publish},
    runtime::deps::{Deps, RetryLater},
    store::StoreError,
};

/// Maximum number of aggregates handled in one step.
const BATCH: i64 = 64;

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
    states: Mutex<BTreeMap<(String, String), State>>,
}

/// Why an aggregate that is due is not handled now.
#[derive(Clone, Copy, Debug)]
enum State {
    Running,
    Failed { attempts: u32, until: Timestamp },
}

impl Deadlines {
    pub(crate) fn new(deps: Deps, handlers: Vec<DueHandler>) -> Self {
        Self(Arc::new(Inner {
            deps,
            handlers,
            states: Mutex::default(),
        }))
    }

    /// Returns the work that is due and not running, as futures to await or spawn. Each returns whether it succeeded.
    pub(crate) async fn due(&self) -> Result<Vec<BoxFuture<'static, bool>>, StoreError> {
        if self.0.handlers.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.0.deps.clock.now();
        // An aggregate that failed an hour ago and was not due since has changed its state.
        let hour = SignedDuration::from_hours(1);
        self.states().retain(|_, state| match state {
            State::Running => true,
            State::Failed { until, .. } => now.duration_since(*until) < hour,
        });
        let mut all: Vec<BoxFuture<'static, bool>> = Vec::new();
        for key in self.0.deps.store.due(now, BATCH).await? {
            let Some(handler) = self.0.handlers.iter().find(|handler| handler.kind == key.0) else {
                continue;
            };
            let mut states = self.states();
            let attempts = match states.get(&key) {
                Some(State::Running) => continue,
                Some(State::Failed { until, .. }) if *until > now => continue,
                Some(State::Failed { attempts, .. }) => *attempts,
                None => 0,
            };
            states.insert(key.clone(), State::Running);
            let work = (handler.handle)(self.0.deps.clone(), key.1.clone());
            let run = Run {
                deadlines: self.clone(),
                key,
                attempts,
            };
            all.push(Box::pin(async move {
                let done = AssertUnwindSafe(work).catch_unwind().await;
                run.finish(done.unwrap_or_else(|_| Err(RetryLater("panicked".into()))))
            }));
        }
        Ok(all)
    }

    /// Whether any work is running, or due and not waiting for its next attempt.
    pub(crate) async fn busy(&self) -> Result<bool, StoreError> {
        if self.0.handlers.is_empty() {
            return Ok(false);
        }
        let now = self.0.deps.clock.now();
        let due = self.0.deps.store.due(now, BATCH).await?;
        let states = self.states();
        let waits =
            |key| matches!(states.get(key), Some(State::Failed { until, .. }) if *until > now);
        let has_handler = |kind: &str| self.0.handlers.iter().any(|handler| handler.kind == kind);
        Ok(states.values().any(|state| matches!(state, State::Running))
            || due.iter().any(|key| has_handler(&key.0) && !waits(key)))
    }

    fn states(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), State>> {
        self.0.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Work on an aggregate that is due. If it is aborted, the aggregate is due again.
struct Run {
    deadlines: Deadlines,
    key: (String, String),
    attempts: u32,
}

impl Run {
    /// Records the result, and returns whether the work succeeded.
    fn finish(self, done: Result<(), RetryLater>) -> bool {
        let Err(error) = done else {
            return true;
        };
        tracing::debug!(kind = %self.key.0, id = %self.key.1, error = %error, "not yet");
        let wait = SignedDuration::from_millis((100_i64 << self.attempts.min(10)).min(60_000));
        let now = self.deadlines.0.deps.clock.now();
        let failed = State::Failed {
            attempts: self.attempts + 1,
            until: now.saturating_add(wait).unwrap_or(Timestamp::MAX),
        };
        self.deadlines.states().insert(self.key.clone(), failed);
        false
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let mut states = self.deadlines.states();
        if matches!(states.get(&self.key), Some(State::Running)) {
            states.remove(&self.key);
        }
    }
}
