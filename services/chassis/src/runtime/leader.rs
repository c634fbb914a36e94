//! Leadership: one of several replicas of a context runs its workers: it relays the log, consumes the logs of other
//! contexts, handles deadlines and retries dead letters. The other replicas serve requests and stand by.
//!
//! The leader holds a lease in the store of the context. A replica that stands by acquires it when it has not seen a renewal
//! for the time of the lease, and the leader stops before. A leader that has lost its lease without noticing does no harm:
//! cursors and versions reject its writes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use clap::Args;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::{
    base::flag_values::duration,
    store::{Store, StoreError},
};

/// Name of the lease.
const LEASE: &str = "work";
/// Number of renewals before a lease would expire.
const RENEWALS: u32 = 5;

/// How replicas of a context elect a leader.
#[derive(Args, Clone, Debug)]
pub struct LeadSettings {
    /// Time after which the lease of a failed leader expires and another replica leads
    #[arg(long, env = "BERTH_LEASE", default_value = "5s", value_parser = duration, value_name = "TIME")]
    pub lease: Duration,
}

/// The lease of this replica on the work of a context. Clones are the same.
#[derive(Clone, Debug)]
pub struct Leader {
    store: Store,
    holder: Arc<str>,
    lease: Duration,
    leading: Arc<AtomicBool>,
}

impl Leader {
    pub(super) fn new(store: Store, settings: &LeadSettings) -> Self {
        Self {
            store,
            holder: Uuid::new_v4().to_string().into(),
            lease: settings.lease,
            leading: Arc::default(),
        }
    }

    /// Whether this replica leads.
    pub fn is_leading(&self) -> bool {
        self.leading.load(Ordering::SeqCst)
    }

    /// Records whether this replica leads.
    pub(super) fn set_leading(&self, leading: bool) {
        let context = self.store.context();
        if self.leading.swap(leading, Ordering::SeqCst) != leading {
            tracing::info!(context, leading, "leadership changed");
        }
        metrics::gauge!("berth_leading", "context" => context).set(f64::from(leading));
    }

    /// How long to wait before the lease is requested or renewed again.
    pub(super) fn renewal(&self) -> Duration {
        self.lease / RENEWALS
    }

    /// Acquires or renews the lease. Returns false if another replica holds it.
    pub(super) async fn acquire(&self) -> Result<bool, StoreError> {
        self.store.lease(LEASE, &self.holder, self.lease).await
    }

    /// Renews the lease, which was acquired at `held`, until it is lost.
    pub(super) async fn keep(&self, mut held: Instant) {
        let context = self.store.context();
        while held.elapsed() < self.lease {
            tokio::time::sleep(self.renewal()).await;
            let began = Instant::now();
            match timeout_at(held + self.lease, self.acquire()).await {
                Ok(Ok(true)) => held = began,
                Ok(Ok(false)) => return,
                Ok(Err(error)) => tracing::warn!(context, error = %error, "lease not renewed"),
                Err(_) => tracing::warn!(context, "lease not renewed in time"),
            }
        }
    }

    /// Releases the lease, if this replica holds it.
    pub(super) async fn release(&self) -> Result<(), StoreError> {
        self.store.release(LEASE, &self.holder).await
    }
}
