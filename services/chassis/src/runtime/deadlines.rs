//! Deadlines: aggregates whose time has come are woken. Late, never early; a state that moves on takes its deadline along.
//!
//! Most are handed [`Aggregate::when_due`](crate::Aggregate::when_due). An aggregate that waits for something outside (a
//! payment provider, a mail server) has an *job*: a function that does the outside work and then tells the aggregate.
//! It may run twice, so the outside work must be idempotent.

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
    store::{ExecuteError, StoreError},
};

/// At most so many are woken in one step.
const BATCH: i64 = 64;

type Wake = dyn Fn(Deps, String) -> BoxFuture<'static, Result<(), RetryLater>> + Send + Sync;

/// What wakes the aggregates of one kind.
#[derive(Clone)]
pub(crate) struct Alarm {
    /// The kind.
    pub(crate) kind: &'static str,
    wake: Arc<Wake>,
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "alarm for {}", self.kind)
    }
}

impl Alarm {
    /// Hands the aggregate its command.
    pub(crate) fn command<A: Publish>() -> Self {
        let wake: Arc<Wake> = Arc::new(|deps, id| {
            Box::pin(async move {
                let id: A::Id = id.parse().map_err(|_| RetryLater("not an id".into()))?;
                let Some(command) = A::when_due() else {
                    return Ok(());
                };
                let cause = Cause::by(format!("service:{}", deps.store.context()));
                match deps.store.execute::<A>(id, command, &cause).await {
                    Ok(_) => Ok(()),
                    Err(ExecuteError::Refused(refusal)) => Err(RetryLater(refusal.to_string())),
                    Err(ExecuteError::Store(error)) => Err(RetryLater(error.to_string())),
                }
            })
        });
        Self {
            kind: A::KIND,
            wake,
        }
    }

    /// Runs an job.
    pub(crate) fn job<A, F, Fut>(job: F) -> Self
    where
        A: Publish,
        F: Fn(Deps, A::Id) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), RetryLater>> + Send + 'static,
    {
        let job = Arc::new(job);
        let wake: Arc<Wake> = Arc::new(move |deps, id| {
            let job = job.clone();
            Box::pin(async move {
                let id: A::Id = id.parse().map_err(|_| RetryLater("not an id".into()))?;
                job(deps, id).await
            })
        });
        Self {
            kind: A::KIND,
            wake,
        }
    }
}

/// Wakes the aggregates of one context.
#[derive(Clone, Debug)]
pub(crate) struct Deadlines(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    deps: Deps,
    alarms: Vec<Alarm>,
    busy: Mutex<BTreeMap<(String, String), Busy>>,
}

/// Why an aggregate that is due is left alone for now.
#[derive(Clone, Copy, Debug)]
enum Busy {
    Running,
    Failed { times: u32, until: Timestamp },
}

impl Deadlines {
    pub(crate) fn new(deps: Deps, alarms: Vec<Alarm>) -> Self {
        Self(Arc::new(Inner {
            deps,
            alarms,
            busy: Mutex::default(),
        }))
    }

    /// What is due now and not being worked on, each as work to be awaited or spawned.
    pub(crate) async fn due(&self) -> Result<Vec<BoxFuture<'static, bool>>, StoreError> {
        if self.0.alarms.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.0.deps.clock.now();
        // What failed an hour ago and was not due since has moved on by itself.
        let hour = SignedDuration::from_hours(1);
        self.busy_now().retain(|_, busy| match busy {
            Busy::Running => true,
            Busy::Failed { until, .. } => now.duration_since(*until) < hour,
        });
        let mut work: Vec<BoxFuture<'static, bool>> = Vec::new();
        for key in self.0.deps.store.due(now, BATCH).await? {
            let Some(alarm) = self.0.alarms.iter().find(|alarm| alarm.kind == key.0) else {
                continue;
            };
            let mut busy = self.busy_now();
            let times = match busy.get(&key) {
                Some(Busy::Running) => continue,
                Some(Busy::Failed { until, .. }) if *until > now => continue,
                Some(Busy::Failed { times, .. }) => *times,
                None => 0,
            };
            busy.insert(key.clone(), Busy::Running);
            let (this, wake) = (
                self.clone(),
                (alarm.wake)(self.0.deps.clone(), key.1.clone()),
            );
            work.push(Box::pin(async move {
                let done = AssertUnwindSafe(wake).catch_unwind().await;
                let done = done.unwrap_or_else(|_| Err(RetryLater("panicked".into())));
                this.finish(key, times, done)
            }));
        }
        Ok(work)
    }

    /// Whether anything is being worked on, or due and not waiting for its next try.
    pub(crate) async fn busy(&self) -> Result<bool, StoreError> {
        if self.0.alarms.is_empty() {
            return Ok(false);
        }
        let now = self.0.deps.clock.now();
        let due = self.0.deps.store.due(now, BATCH).await?;
        let busy = self.busy_now();
        let waits = |key| matches!(busy.get(key), Some(Busy::Failed { until, .. }) if *until > now);
        let alarmed = |kind: &str| self.0.alarms.iter().any(|alarm| alarm.kind == kind);
        Ok(busy.values().any(|busy| matches!(busy, Busy::Running))
            || due.iter().any(|key| alarmed(&key.0) && !waits(key)))
    }

    fn finish(&self, key: (String, String), times: u32, done: Result<(), RetryLater>) -> bool {
        let mut busy = self.busy_now();
        match done {
            Ok(()) => {
                busy.remove(&key);
                true
            }
            Err(error) => {
                tracing::debug!(kind = %key.0, id = %key.1, error = %error, "not yet");
                let wait = SignedDuration::from_millis((100_i64 << times.min(10)).min(60_000));
                let until = self
                    .0
                    .deps
                    .clock
                    .now()
                    .saturating_add(wait)
                    .unwrap_or(Timestamp::MAX);
                busy.insert(
                    key,
                    Busy::Failed {
                        times: times + 1,
                        until,
                    },
                );
                false
            }
        }
    }

    fn busy_now(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), Busy>> {
        self.0.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
