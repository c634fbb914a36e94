//! A PostgreSQL database, or one schema of it: its connections, settings and counters.

use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use tokio::sync::{Mutex, watch};

use crate::{
    base::faults::Faults,
    store::{
        error::StoreError,
        postgres::{error::StatementError, pool::Pool, renewals::SeenRenewals},
        settings::DatabaseSettings,
    },
};

/// How many prepared statements each connection caches.
const STATEMENTS: usize = 256;

/// One database, or one schema of it.
pub(crate) struct Postgres {
    pub(super) context: &'static str,
    pub(super) options: PgConnectOptions,
    pub(super) pool: Arc<Pool>,
    pub(super) timeout: Duration,
    /// Whether a transaction pooler is between this process and the server.
    pub(super) pooled: bool,
    pub(super) leases: SeenRenewals,
    pub(super) commits: watch::Sender<u64>,
    pub(super) retry_lock: Mutex<()>,
    faults: Faults,
    failing: AtomicBool,
    round_trips: AtomicU64,
}

/// Without the options, which contain the password.
impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

impl Postgres {
    /// Prepares the connections, without connecting yet.
    pub(crate) fn open(
        context: &'static str,
        url: &str,
        settings: &DatabaseSettings,
        faults: Faults,
    ) -> Result<Self, StoreError> {
        // The parser's error is dropped: it may contain the URL and its password.
        let invalid = |_| StoreError::Bug("the URL of the database is invalid".to_owned());
        let options = PgConnectOptions::from_str(url).map_err(invalid)?;
        let (timeout, pooled) = (settings.database_timeout, settings.database_pooled);
        let name = options.get_application_name().unwrap_or(context).to_owned();
        let mut options = options
            .application_name(&name)
            .statement_cache_capacity(STATEMENTS)
            .disable_statement_logging();
        if pooled {
            options = options.extra_float_digits(None);
        } else {
            let millis = timeout.as_millis();
            options = options.options([
                ("statement_timeout", millis),
                // Releases the locks of a client that has vanished.
                ("idle_in_transaction_session_timeout", millis * 2),
            ]);
        }
        let connections = settings.database_connections;
        Ok(Self {
            context,
            pool: Arc::new(Pool::new(context, options.clone(), connections, timeout)),
            options,
            timeout,
            pooled,
            leases: SeenRenewals::default(),
            commits: watch::Sender::new(0),
            retry_lock: Mutex::default(),
            faults,
            failing: AtomicBool::new(false),
            round_trips: AtomicU64::new(0),
        })
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    pub(super) fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::Relaxed)
    }

    pub(super) fn count_round_trip(&self) {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
    }

    /// Records an error in the metrics and in the state of the store.
    pub(super) fn record_error(&self, error: &StatementError) {
        metrics::counter!("berth_store_errors_total", "context" => self.context, "kind" => error.kind)
            .increment(1);
        if error.is_of_database() {
            self.failing.store(true, Ordering::Relaxed);
        }
    }

    /// The fault points before a commit.
    pub(super) fn before_commit(&self) -> Result<(), StoreError> {
        if self.faults.pass("store.serialize").is_err() {
            return Err(StoreError::Contended);
        }
        self.pass("store.commit")
    }

    /// Records a commit and signals it. A test may lose its result.
    pub(super) fn after_commit(&self) -> Result<(), StoreError> {
        self.failing.store(false, Ordering::Relaxed);
        self.commits.send_modify(|count| *count += 1);
        self.pass("store.answer")
    }

    fn pass(&self, point: &str) -> Result<(), StoreError> {
        self.faults.pass(point).map_err(|fault| {
            self.failing.store(true, Ordering::Relaxed);
            StoreError::Unavailable(fault.to_string())
        })
    }
}
