//! The workers of a context: they relay its log, consume the logs of others, retry dead letters and wake what is due, while
//! this replica leads.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::log_id::LogId,
    messaging::{
        consumer::Consumer,
        relay::{compare, relay_once},
    },
    runtime::context_runtime::{ContextRuntime, StepError},
};

/// How often a worker looks by itself, whatever it is told.
const TICK: Duration = Duration::from_millis(100);
/// How often the bus is told how far the log has come, whatever happens.
const BEAT: Duration = Duration::from_secs(1);
/// How long a worker rests after a failure.
const REST: Duration = Duration::from_millis(250);

impl ContextRuntime {
    /// Starts the loops of the workers, which work while this replica leads; they end when `stop` is cancelled, after the
    /// step in hand.
    pub fn run(&self, stop: &CancellationToken) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().lead(stop.clone()));
        tasks.spawn(self.clone().pass_on(stop.clone()));
        tasks
    }

    pub(crate) fn workers(&self, stop: &CancellationToken) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().relay(stop.clone()));
        tasks.spawn(self.clone().beat(stop.clone()));
        tasks.spawn(self.clone().watch_deadlines(stop.clone()));
        for consumer in &self.consumers {
            tasks.spawn(self.clone().listen(consumer.clone(), stop.clone()));
            tasks.spawn(retry(consumer.clone(), stop.clone()));
        }
        tasks
    }

    /// Works whenever this replica leads, and tries to lead whenever nobody else does.
    pub(crate) async fn lead(self, stop: CancellationToken) {
        self.leader.set_leading(false);
        while !stop.is_cancelled() {
            // Nothing is done on a log that has gone back.
            if self.deps.store.fenced().is_none() {
                match self.leader.acquire().await {
                    Ok(true) => self.work(&stop).await,
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(context = self.context.name, error = %error, "lease failed");
                    }
                }
            }
            tokio::select! {
                () = rest(&stop, self.leader.renewal()) => {}
                () = self.bus.woken(self.context.name) => {}
            }
        }
    }

    /// Tells the leader when this replica, which is not, has committed something.
    pub(crate) async fn pass_on(self, stop: CancellationToken) {
        let mut commits = self.deps.store.commits();
        loop {
            tokio::select! {
                // A store that has stopped for good ends the process, not this worker.
                committed = commits.changed() => if committed.is_err() { return stop.cancelled().await },
                () = stop.cancelled() => return,
            }
            if !self.leads() {
                self.bus.wake(self.context.name);
            }
        }
    }

    /// Works until it is told to stop or somebody else leads. The lease ends with the work.
    async fn work(&self, stop: &CancellationToken) {
        // Another replica may have told the bus more than this one knows of.
        self.bus.forget(self.context.name);
        if let Err(error) = compare(&self.deps.store, &self.bus).await {
            tracing::warn!(context = self.context.name, error = %error, "log not compared with the bus");
        }
        self.leader.set_leading(true);
        let work = stop.child_token();
        let mut workers = self.workers(&work);
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.leader.keep() => {}
            () = self.hear_wakes() => {}
            () = self.deps.store.until_fenced() => {}
            ended = workers.join_next() => if !stop.is_cancelled() {
                failed(self.context.name, ended);
            }
        }
        work.cancel();
        while let Some(ended) = workers.join_next().await {
            if let Err(error) = ended {
                failed(self.context.name, Some(Err(error)));
            }
        }
        // What was committed last is told before somebody else must notice.
        while matches!(relay_once(&self.deps.store, &self.bus).await, Ok(true)) {}
        self.leader.set_leading(false);
        let released = self.leader.release().await;
        if let Err(error) = released {
            tracing::warn!(context = self.context.name, error = %error, "lease not given back");
        }
        self.bus.wake(self.context.name);
    }

    /// Looks for work whenever a replica says that there is some.
    async fn hear_wakes(&self) {
        loop {
            self.bus.woken(self.context.name).await;
            self.deps.store.nudge();
        }
    }

    async fn relay(self, stop: CancellationToken) {
        let mut commits = self.deps.store.commits();
        while !stop.is_cancelled() {
            commits.mark_unchanged();
            match relay_once(&self.deps.store, &self.bus).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(context = self.context.name, error = %error, "relay failed");
                    rest(&stop, REST).await;
                }
            }
            tokio::select! {
                _ = commits.changed() => {}
                () = rest(&stop, TICK) => {}
            }
        }
    }

    /// Tells the bus every now and then how far the log has come, so that a tail that was lost on the way is missed.
    async fn beat(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Ok(head) = self.deps.store.head().await {
                self.bus.beat(&LogId::of(self.context.name), head).await;
            }
            rest(&stop, BEAT).await;
        }
    }

    async fn listen(self, consumer: Consumer, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let heard = tokio::select! {
                heard = self.hear(&consumer) => heard,
                () = stop.cancelled() => return,
            };
            if let Err(error) = heard {
                consumer.fails(&error);
                tracing::warn!(consumer = consumer.name(), producer = %consumer.producer(), error = %error, "consumer failed");
                rest(&stop, REST).await;
            }
        }
    }

    /// Follows a feed until something fails; then a new one begins where the cursor is.
    async fn hear(&self, consumer: &Consumer) -> Result<(), StepError> {
        let mut feed = self.subscribe(consumer).await?;
        if let Err(error) = consumer.report().await {
            // The log can be away while the bus is there.
            tracing::debug!(consumer = consumer.name(), error = %error, "producer not told");
        }
        loop {
            let signal = feed
                .next()
                .await
                .map_err(|error| StepError(error.to_string()))?;
            consumer.consume(signal).await?;
            feed.taken().await;
        }
    }

    async fn watch_deadlines(self, stop: CancellationToken) {
        let mut commits = self.deps.store.commits();
        let mut running: JoinSet<bool> = JoinSet::new();
        while !stop.is_cancelled() {
            commits.mark_unchanged();
            match self.deadlines.due().await {
                Ok(work) => work.into_iter().for_each(|work| {
                    running.spawn(work);
                }),
                Err(error) => {
                    tracing::warn!(context = self.context.name, error = %error, "deadlines failed");
                }
            }
            while running.try_join_next().is_some() {}
            tokio::select! {
                _ = commits.changed() => tokio::time::sleep(Duration::from_millis(2)).await,
                Some(_) = running.join_next() => {}
                () = rest(&stop, TICK) => {}
            }
        }
        while running.join_next().await.is_some() {}
    }
}

async fn retry(consumer: Consumer, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match consumer.retry().await {
            Ok(true) => {}
            Ok(false) => rest(&stop, TICK).await,
            Err(error) => {
                tracing::warn!(consumer = consumer.name(), error = %error, "dead letters could not be tried");
                rest(&stop, REST).await;
            }
        }
    }
}

pub(crate) async fn rest(stop: &CancellationToken, time: Duration) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = stop.cancelled() => {}
    }
}

/// A worker never ends by itself: the process must not go on as if it worked. One that was cancelled says that the process
/// itself ends.
#[expect(clippy::panic, reason = "passes a panic on to whoever watches")]
fn failed(context: &str, ended: Option<Result<(), tokio::task::JoinError>>) {
    match ended.map(|ended| ended.map_err(tokio::task::JoinError::try_into_panic)) {
        Some(Err(Ok(panic))) => std::panic::resume_unwind(panic),
        Some(Err(Err(_))) => {}
        _ => panic!("a worker of {context} has ended"),
    }
}
