//! The workers of a context: loops that relay its log, consume the logs of other contexts, retry dead letters and handle
//! deadlines, while this replica leads.

use std::{pin::pin, time::Duration};

use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::log_id::LogId,
    messaging::{
        consumer::Consumer,
        relay::{compare, relay_committed, relay_once},
    },
    runtime::context_runtime::{ContextRuntime, StepError},
};

/// How often a worker polls without being notified.
const POLL: Duration = Duration::from_millis(100);
/// How often the high-water mark of the log is published, even if it has not changed.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Delay after a failure.
const RETRY_DELAY: Duration = Duration::from_millis(250);
/// Delay after a commit before due aggregates are looked up, to handle several at once.
const COALESCE: Duration = Duration::from_millis(2);

impl ContextRuntime {
    /// Starts the loops of the workers, which work while this replica leads. They end when `stop` is cancelled, after the
    /// current step; a step that takes longer than `drain` is aborted.
    pub fn run(&self, stop: &CancellationToken, drain: Duration) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().lead(stop.clone(), drain));
        tasks.spawn(self.clone().notify_leader(stop.clone()));
        tasks
    }

    fn workers(&self, stop: &CancellationToken) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().relay(stop.clone()));
        tasks.spawn(self.clone().send_heartbeats(stop.clone()));
        tasks.spawn(self.clone().handle_deadlines(stop.clone()));
        for consumer in &self.consumers {
            tasks.spawn(self.clone().consume(consumer.clone(), stop.clone()));
            tasks.spawn(retry_dead_letters(consumer.clone(), stop.clone()));
        }
        tasks
    }

    /// Runs the workers whenever this replica holds the lease, and tries to acquire the lease otherwise.
    async fn lead(self, stop: CancellationToken, drain: Duration) {
        self.leader.set_leading(false);
        while !stop.is_cancelled() {
            // A fenced store must not be worked on.
            if self.deps.store.fenced().is_none() {
                let began = Instant::now();
                match self.leader.acquire().await {
                    Ok(true) => self.work(&stop, began, drain).await,
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(context = self.context.name, error = %error, "lease failed");
                    }
                }
            }
            tokio::select! {
                () = pause(&stop, self.leader.renewal()) => {}
                () = self.bus.leader_notified(self.context.name) => {}
            }
        }
    }

    /// Notifies the leader after each commit of this replica, unless it leads itself.
    async fn notify_leader(self, stop: CancellationToken) {
        let mut commits = self.deps.store.commits();
        loop {
            tokio::select! {
                // A store that has stopped for good ends the process, not this worker.
                committed = commits.changed() => if committed.is_err() { return stop.cancelled().await },
                () = stop.cancelled() => return,
            }
            if !self.leads() {
                self.bus.notify_leader(self.context.name).await;
            }
        }
    }

    /// Runs the workers until `stop` is cancelled, the lease is lost or the store is fenced. Releases the lease then.
    async fn work(&self, stop: &CancellationToken, held: Instant, drain: Duration) {
        let context = self.context.name;
        // Another replica may have published more than this one knows.
        self.bus.invalidate(context);
        if let Err(error) = compare(&self.deps.store, &self.bus).await {
            tracing::warn!(context, error = %error, "log not compared with the bus");
        }
        self.leader.set_leading(true);
        let work = stop.child_token();
        let mut workers = self.workers(&work);
        let mut lost = pin!(self.leader.keep(held));
        let leads = tokio::select! {
            () = stop.cancelled() => true,
            () = &mut lost => false,
            () = self.receive_notifications() => true,
            () = self.deps.store.until_fenced() => true,
            ended = workers.join_next() => {
                if !stop.is_cancelled() {
                    worker_ended(context, ended);
                }
                true
            }
        };
        work.cancel();
        // The lease is renewed meanwhile, so that nobody else leads yet.
        if leads {
            tokio::select! {
                drained = timeout(drain, self.drain(&mut workers)) => {
                    if drained.is_err() {
                        tracing::warn!(context, "workers aborted: their last step took too long");
                    }
                }
                () = lost => {}
            }
        }
        // What they were doing has no effect, or is done again by the next leader.
        workers.shutdown().await;
        self.leader.set_leading(false);
        if let Err(error) = self.leader.release().await {
            tracing::warn!(context, error = %error, "lease not released");
        }
        self.bus.notify_leader(context).await;
    }

    /// Waits until the workers have ended, and publishes the last commits: the next leader would find them only after a
    /// while.
    async fn drain(&self, workers: &mut JoinSet<()>) {
        let context = self.context.name;
        while let Some(ended) = workers.join_next().await {
            if let Err(error) = ended {
                worker_ended(context, Some(Err(error)));
            }
        }
        if let Err(error) = relay_committed(&self.deps.store, &self.bus).await {
            tracing::warn!(context, error = %error, "last events not published");
        }
    }

    /// Wakes the workers whenever another replica has notified the leader.
    async fn receive_notifications(&self) {
        loop {
            self.bus.leader_notified(self.context.name).await;
            self.deps.store.notify_commit();
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
                    pause(&stop, RETRY_DELAY).await;
                }
            }
            tokio::select! {
                _ = commits.changed() => {}
                () = pause(&stop, POLL) => {}
            }
        }
    }

    /// Publishes the high-water mark of the log regularly, so that consumers notice a tail that the bus has lost.
    async fn send_heartbeats(self, stop: CancellationToken) {
        let log = LogId::of(self.context.name);
        while !stop.is_cancelled() {
            if let Ok(head) = self.deps.store.high_water_mark().await {
                self.bus.heartbeat(&log, head).await;
            }
            pause(&stop, HEARTBEAT).await;
        }
    }

    /// Consumes a log. After a failure it subscribes again, and continues at the cursor.
    async fn consume(self, consumer: Consumer, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let result = tokio::select! {
                result = self.consume_subscription(&consumer) => result,
                () = stop.cancelled() => return,
            };
            if let Err(error) = result {
                consumer.record_failure(&error);
                tracing::warn!(consumer = %consumer.name(), producer = %consumer.producer(), error = %error, "consumer failed");
                pause(&stop, RETRY_DELAY).await;
            }
        }
    }

    async fn consume_subscription(&self, consumer: &Consumer) -> Result<(), StepError> {
        let mut subscription = self.subscribe(consumer).await?;
        if let Err(error) = consumer.report_cursor().await {
            // The log can be unavailable while the bus is connected.
            tracing::debug!(consumer = %consumer.name(), error = %error, "cursor not reported");
        }
        loop {
            let signal = subscription.next().await.map_err(StepError::of)?;
            let result = consumer.consume(signal).await;
            result.map_err(StepError::of)?;
            subscription.acknowledge().await;
        }
    }

    async fn handle_deadlines(self, stop: CancellationToken) {
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
                _ = commits.changed() => tokio::time::sleep(COALESCE).await,
                Some(_) = running.join_next() => {}
                () = pause(&stop, POLL) => {}
            }
        }
        while running.join_next().await.is_some() {}
    }
}

async fn retry_dead_letters(consumer: Consumer, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match consumer.retry().await {
            Ok(true) => {}
            Ok(false) => pause(&stop, POLL).await,
            Err(error) => {
                tracing::warn!(consumer = %consumer.name(), error = %error, "dead letters could not be retried");
                pause(&stop, RETRY_DELAY).await;
            }
        }
    }
}

/// Sleeps, and returns early if `stop` is cancelled.
async fn pause(stop: &CancellationToken, time: Duration) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = stop.cancelled() => {}
    }
}

/// Panics because a worker has ended: the process must not run without it. A worker that was cancelled means that the
/// process itself ends.
#[expect(clippy::panic, reason = "passes the panic on to the supervisor")]
fn worker_ended(context: &str, ended: Option<Result<(), JoinError>>) {
    match ended.map(|ended| ended.map_err(JoinError::try_into_panic)) {
        Some(Err(Ok(panic))) => std::panic::resume_unwind(panic),
        Some(Err(Err(_))) => {}
        _ => panic!("a worker of {context} has ended"),
    }
}
