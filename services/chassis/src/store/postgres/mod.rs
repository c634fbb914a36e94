//! The PostgreSQL engine: a command is one question and one answer, and then one statement that is the whole transaction.
//!
//! Isolation is READ COMMITTED. What must not be lost is guarded where it is written: by the version of the aggregate, the
//! key of the claim and the place of the cursor. Who loses such a race begins again.

mod conn;
mod fault;
mod plan;
mod pool;
mod puts;
mod schema;
mod wire;
mod with;
mod work;

use std::{
    fmt,
    panic::AssertUnwindSafe,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use sqlx::{
    ConnectOptions, Connection,
    postgres::{PgConnectOptions, PgConnection},
};
use tokio::{
    sync::{Mutex, MutexGuard, watch},
    time::timeout,
};

use crate::store::postgres::{conn::Pg, fault::Fault, pool::Pool};
use crate::store::{
    DatabaseSettings, Migration, Schema, StoreError,
    connection::{Conn, Row},
    work::{Job, Outcome, Query},
};
use crate::{args, base::faults::Faults, store::Value};

/// So many prepared statements are kept with each connection.
const STATEMENTS: usize = 256;
/// So many events are numbered at a time.
const STAMPED: usize = 10_000;

/// One database, or one schema of it.
pub(super) struct Postgres {
    context: &'static str,
    options: PgConnectOptions,
    pool: Arc<Pool>,
    timeout: Duration,
    pooled: bool,
    faults: Faults,
    committed: watch::Sender<u64>,
    failing: AtomicBool,
    round_trips: AtomicU64,
    losers: Mutex<()>,
}

/// Says nothing of the options: the password is among them.
impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

impl Postgres {
    pub(super) fn open(
        context: &'static str,
        url: &str,
        settings: &DatabaseSettings,
        faults: Faults,
    ) -> Result<Self, StoreError> {
        // The error of a URL may hold the URL, which holds the password.
        let wrong = |_| StoreError::Bug("the URL of the database is wrong".to_owned());
        let options = PgConnectOptions::from_str(url).map_err(wrong)?;
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
                // The server does not keep the locks of somebody who is gone.
                ("idle_in_transaction_session_timeout", millis * 2),
            ]);
        }
        let pool = Pool::new(
            context,
            options.clone(),
            settings.database_connections,
            timeout,
        );
        Ok(Self {
            context,
            options,
            pool: Arc::new(pool),
            timeout,
            pooled,
            faults,
            committed: watch::Sender::new(0),
            failing: AtomicBool::new(false),
            round_trips: AtomicU64::new(0),
            losers: Mutex::default(),
        })
    }

    /// Runs a job in a transaction, for the `attempt`-th time.
    pub(super) async fn write(self: &Arc<Self>, job: Job, attempt: u32) -> Result<(), StoreError> {
        let mut conn = Pg::new(self.clone(), attempt);
        let outcome = AssertUnwindSafe(job(&mut conn)).catch_unwind().await;
        let Ok(outcome) = outcome else {
            return Err(StoreError::Bug("a job panicked".into()));
        };
        let changed = conn.end(outcome).await?;
        if changed {
            self.failing.store(false, Ordering::Relaxed);
            self.nudge();
            // A test may lose the answer of a commit that happened.
            self.pass("store.answer")?;
        }
        Ok(())
    }

    /// Runs a job that only reads.
    pub(super) async fn read(self: &Arc<Self>, query: Query) -> Result<(), StoreError> {
        let mut conn = Pg::new(self.clone(), 0);
        query(&mut conn).await;
        // Nothing was written; where a pooler is in between, a transaction is open.
        conn.end(Outcome::Rollback).await.map(|_| ())
    }

    /// Runs a question of the engine's own. Asked twice it must mean the same.
    async fn ask(
        self: &Arc<Self>,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let mut conn = Pg::new(self.clone(), 0);
        let rows = conn.query(sql, values).await;
        conn.end(Outcome::Commit).await?;
        rows
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Those who lost a race try again one after the other: all at once, all but one of them would lose again.
    pub(super) async fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        timeout(self.timeout, self.losers.lock()).await.ok()
    }

    pub(super) fn commits(&self) -> watch::Receiver<u64> {
        self.committed.subscribe()
    }

    pub(super) fn nudge(&self) {
        self.committed.send_modify(|count| *count += 1);
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    pub(super) fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::Relaxed)
    }

    fn count(&self) {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes what went wrong.
    fn note(&self, fault: &Fault) {
        metrics::counter!("berth_store_errors_total", "context" => self.context, "kind" => fault.kind)
            .increment(1);
        if fault.is_the_databases() {
            self.failing.store(true, Ordering::Relaxed);
        }
    }

    /// What a test may let fail before anything is committed.
    fn before_commit(&self) -> Result<(), StoreError> {
        if self.faults.pass("store.serialize").is_err() {
            return Err(StoreError::Contended);
        }
        self.pass("store.commit")
    }

    fn pass(&self, point: &str) -> Result<(), StoreError> {
        self.faults.pass(point).map_err(|fault| {
            self.failing.store(true, Ordering::Relaxed);
            StoreError::Unavailable(fault.to_string())
        })
    }

    pub(super) async fn migrate(&self, migrations: &[Migration]) -> Result<(), StoreError> {
        let failed = |error| Fault::of(error, fault::Sent::default()).error;
        let connected = PgConnection::connect_with(&self.options).await;
        let mut connection = connected.map_err(|error| Fault::connecting(&error).error)?;
        schema::migrate(&mut connection, migrations)
            .await
            .map_err(failed)?;
        connection.close().await.map_err(failed)
    }

    pub(super) async fn schema(
        self: &Arc<Self>,
        migrations: &[Migration],
    ) -> Result<Schema, StoreError> {
        let mut conn = Pg::new(self.clone(), 0);
        let schema = schema::look(&mut conn, migrations).await;
        conn.end(Outcome::Rollback).await?;
        schema
    }

    /// Numbers what is committed and has no number, one process at a time. Each statement sees what was committed before
    /// it begins: the second one everything that whoever held the lock before has numbered.
    ///
    /// Nothing is numbered if the log does not go as far as it was seen to go: after a failover the numbers that follow may
    /// have been given already, to events that were lost.
    pub(super) async fn stamp(self: &Arc<Self>, floor: i64) -> Result<bool, StoreError> {
        let any = "SELECT 1 FROM log WHERE seq IS NULL LIMIT 1";
        if self.ask(any, args![]).await?.is_empty() {
            return Ok(false);
        }
        let sql = format!(
            "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended(current_schema(), 2));
             WITH new AS MATERIALIZED (
                 SELECT place, row_number() OVER (ORDER BY place) AS nth
                 FROM log WHERE seq IS NULL ORDER BY place LIMIT {STAMPED}),
             head AS MATERIALIZED (SELECT COALESCE(MAX(seq), 0) AS seq FROM log)
             UPDATE log SET seq = head.seq + new.nth FROM new, head
             WHERE log.place = new.place AND head.seq >= {floor};
             COMMIT"
        );
        Pg::new(self.clone(), 0).run_alone(&sql).await?;
        Ok(true)
    }

    pub(super) async fn unnumbered(self: &Arc<Self>) -> Result<i64, StoreError> {
        let sql = "SELECT COUNT(*) FROM log WHERE seq IS NULL";
        let rows = self.ask(sql, args![]).await?;
        rows.first().map_or(Ok(0), |row| row.int(0))
    }

    pub(super) async fn lease(
        self: &Arc<Self>,
        name: &str,
        holder: &str,
        time: Duration,
    ) -> Result<bool, StoreError> {
        let sql = "INSERT INTO lease (name, holder, ends)
                   VALUES ($1, $2, clock_timestamp() + $3 * INTERVAL '1 millisecond')
                   ON CONFLICT (name) DO UPDATE SET holder = excluded.holder,
                       ends = clock_timestamp() + $3 * INTERVAL '1 millisecond'
                   WHERE lease.holder = excluded.holder OR lease.ends <= clock_timestamp() RETURNING 1";
        let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let held = self.ask(sql, args![name, holder, millis]).await?;
        Ok(!held.is_empty())
    }

    pub(super) async fn release(
        self: &Arc<Self>,
        name: &str,
        holder: &str,
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM lease WHERE name = $1 AND holder = $2";
        self.ask(sql, args![name, holder]).await.map(|_| ())
    }
}
