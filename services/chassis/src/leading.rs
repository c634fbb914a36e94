//! Leading: of several replicas of a context one does the work that nobody asks for. It tells the bus what is new, hears
//! the other contexts, watches deadlines and tries dead letters again; the others answer requests and stand by.
//!
//! Who leads is said by a lease in the context's own store, by the clock of that store. A leader that was thought dead and
//! is not does no harm: cursors and versions fence it out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use clap::Args;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    config::duration,
    relay::{compare, relay_once},
    site::{Site, rest},
};

/// What the lease is called.
const WORK: &str = "work";
/// A lease is renewed so many times before it would end.
const RENEWALS: u32 = 5;

/// How replicas of a context agree who leads.
#[derive(Args, Clone, Debug)]
pub struct LeadSettings {
    /// How long a replica that stops answering is still taken for the leader
    #[arg(long, env = "BERTH_LEASE", default_value = "5s", value_parser = duration, value_name = "TIME")]
    pub lease: Duration,
}

/// Whether this replica leads. Clones are the same.
#[derive(Clone, Debug)]
pub struct Lead {
    context: &'static str,
    holder: Arc<str>,
    lease: Duration,
    leading: Arc<AtomicBool>,
}

impl Lead {
    pub(crate) fn new(context: &'static str, settings: &LeadSettings) -> Self {
        Self {
            context,
            holder: Uuid::new_v4().to_string().into(),
            lease: settings.lease,
            leading: Arc::default(),
        }
    }

    /// Whether it does.
    pub(crate) fn is_leading(&self) -> bool {
        self.leading.load(Ordering::SeqCst)
    }

    /// What this replica is called where replicas are told apart.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    fn set(&self, leading: bool) {
        if self.leading.swap(leading, Ordering::SeqCst) != leading {
            tracing::info!(context = self.context, leading, "leading");
        }
        metrics::gauge!("berth_leading", "context" => self.context).set(f64::from(leading));
    }
}

impl Site {
    /// Works whenever this replica leads, and tries to lead whenever nobody else does.
    pub(crate) async fn lead(self, stop: CancellationToken) {
        self.lead.set(false);
        while !stop.is_cancelled() {
            // Nothing is done on a log that has gone back.
            if self.deps.store.fenced().is_none() {
                match self.hold().await {
                    Ok(true) => self.work(&stop).await,
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(context = self.context.name, error = %error, "lease failed");
                    }
                }
            }
            tokio::select! {
                () = rest(&stop, self.lead.lease / RENEWALS) => {}
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
        self.lead.set(true);
        let work = stop.child_token();
        let mut workers = self.workers(&work);
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.renew() => {}
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
        self.lead.set(false);
        let released = self.deps.store.release(WORK, self.lead.holder()).await;
        if let Err(error) = released {
            tracing::warn!(context = self.context.name, error = %error, "lease not given back");
        }
        self.bus.wake(self.context.name);
    }

    async fn hold(&self) -> Result<bool, crate::StoreError> {
        let Lead { holder, lease, .. } = &self.lead;
        self.deps.store.lease(WORK, holder, *lease).await
    }

    /// Renews the lease until it is lost.
    async fn renew(&self) {
        let mut held = Instant::now();
        loop {
            tokio::time::sleep(self.lead.lease / RENEWALS).await;
            let began = Instant::now();
            match self.hold().await {
                Ok(true) => held = began,
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(context = self.context.name, error = %error, "lease not renewed");
                    if held.elapsed() >= self.lead.lease {
                        return;
                    }
                }
            }
        }
    }

    /// Looks for work whenever a replica says that there is some.
    async fn hear_wakes(&self) {
        loop {
            self.bus.woken(self.context.name).await;
            self.deps.store.nudge();
        }
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
