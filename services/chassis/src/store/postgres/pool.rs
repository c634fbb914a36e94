//! The connection pool of one database.
//!
//! sqlx's own pool does not fit: it sends a message and waits for the reply whenever a connection is returned. Here nothing
//! is sent when a connection is acquired or returned. Only a connection that is returned while a statement runs or a
//! transaction is open, because its caller has given up, is restored first: in the background, and counted as in use.

use std::{
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{
    Connection, Executor,
    postgres::{PgConnectOptions, PgConnection},
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout},
};

use crate::store::postgres::error::StatementError;

/// The server's statement timeout ends before the client's.
pub(super) const GRACE: Duration = Duration::from_millis(500);
/// An idle connection is closed after this time.
const IDLE: Duration = Duration::from_mins(5);
/// A connection is replaced after this time, so that the load spreads over new replicas of the database.
const MAX_LIFETIME: Duration = Duration::from_mins(30);
/// The pause between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Pool {
    options: PgConnectOptions,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    /// How many connections were opened.
    opened: AtomicU64,
    /// Since when connecting fails.
    unreachable_since: Mutex<Option<Instant>>,
    timeout: Duration,
    metrics: Metrics,
}

struct Idle {
    connection: OpenConnection,
    since: Instant,
}

struct Metrics {
    open: metrics::Gauge,
    used: metrics::Gauge,
    wait: metrics::Histogram,
}

impl Pool {
    pub(super) fn new(
        context: &'static str,
        options: PgConnectOptions,
        connections: usize,
        timeout: Duration,
    ) -> Self {
        let gauge = |state: &'static str| metrics::gauge!("berth_store_connections", "context" => context, "state" => state);
        Self {
            options,
            permits: Arc::new(Semaphore::new(connections)),
            idle: Mutex::default(),
            opened: AtomicU64::new(0),
            unreachable_since: Mutex::default(),
            timeout,
            metrics: Metrics {
                open: gauge("open"),
                used: gauge("used"),
                wait: metrics::histogram!("berth_store_acquire_seconds", "context" => context),
            },
        }
    }

    /// How many connections were opened.
    pub(super) fn opened(&self) -> u64 {
        self.opened.load(Ordering::SeqCst)
    }

    pub(super) async fn acquire(self: &Arc<Self>) -> Result<PooledConnection, StatementError> {
        let began = Instant::now();
        let permit = timeout(self.timeout, self.permits.clone().acquire_owned()).await;
        let permit = permit.ok().and_then(Result::ok);
        let permit = Permit::new(permit.ok_or_else(StatementError::busy)?, &self.metrics.used);
        let connection = if let Some(connection) = self.pop_idle() {
            PooledConnection::new(self.clone(), connection, permit)
        } else {
            // In a task of its own: if the caller gives up, the connection goes to the next one.
            let connected = tokio::spawn(self.clone().connect(permit)).await;
            connected.map_err(|_| StatementError::silent())??
        };
        self.metrics.wait.record(began.elapsed());
        Ok(connection)
    }

    fn pop_idle(&self) -> Option<OpenConnection> {
        let mut idle = self.idle();
        // The most recently used connection is the last.
        let old = idle.iter().take_while(|idle| idle.since.elapsed() > IDLE);
        let old = old.count();
        idle.drain(..old);
        idle.retain(|idle| idle.connection.born.elapsed() < MAX_LIFETIME);
        idle.pop().map(|idle| idle.connection)
    }

    fn put(&self, connection: OpenConnection) {
        let since = Instant::now();
        self.idle().push(Idle { connection, since });
    }

    /// Connects. If the database has become unreachable just now, tries again for a while.
    async fn connect(self: Arc<Self>, permit: Permit) -> Result<PooledConnection, StatementError> {
        loop {
            let connected = timeout(self.timeout, PgConnection::connect_with(&self.options)).await;
            let error = match connected {
                Ok(Ok(connection)) => {
                    *self.unreachable_since() = None;
                    self.opened.fetch_add(1, Ordering::SeqCst);
                    let connection = OpenConnection::new(connection, &self.metrics.open);
                    return Ok(PooledConnection::new(self, connection, permit));
                }
                Ok(Err(error)) => StatementError::connecting(&error),
                Err(_) => StatementError::silent(),
            };
            let since = *self.unreachable_since().get_or_insert_with(Instant::now);
            if !error.broken || since.elapsed() >= self.timeout {
                return Err(StatementError {
                    kind: "away",
                    broken: false,
                    ..error
                });
            }
            sleep(PAUSE).await;
        }
    }

    /// Restores a connection whose caller has given up: reads the result of the running statement, which ends by the
    /// server's statement timeout, and rolls the transaction back. The permit is held until then, so the database never
    /// works for more callers than the pool has connections.
    async fn restore(self: Arc<Self>, mut connection: OpenConnection, open: bool, permit: Permit) {
        let restored = timeout(self.timeout + GRACE, connection.restore(open)).await;
        if matches!(restored, Ok(Ok(()))) {
            self.put(connection);
        }
        drop(permit);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unreachable_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.unreachable_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to use a connection.
struct Permit {
    used: metrics::Gauge,
    _permit: OwnedSemaphorePermit,
}

impl Permit {
    fn new(permit: OwnedSemaphorePermit, used: &metrics::Gauge) -> Self {
        used.increment(1);
        Self {
            used: used.clone(),
            _permit: permit,
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.used.decrement(1);
    }
}

/// A connection to the server. It is closed when it is dropped.
struct OpenConnection {
    connection: PgConnection,
    born: Instant,
    open: metrics::Gauge,
}

impl OpenConnection {
    fn new(connection: PgConnection, open: &metrics::Gauge) -> Self {
        open.increment(1);
        Self {
            connection,
            born: Instant::now(),
            open: open.clone(),
        }
    }

    async fn restore(&mut self, open: bool) -> Result<(), sqlx::Error> {
        let connection = &mut self.connection;
        loop {
            let restored = if open {
                connection
                    .execute(sqlx::raw_sql("ROLLBACK"))
                    .await
                    .map(|_| ())
            } else {
                connection.ping().await
            };
            match restored {
                // The error of the statement that was running.
                Err(sqlx::Error::Database(_)) => {}
                restored => return restored,
            }
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.open.decrement(1);
    }
}

/// A connection in use. It returns to the pool when it is dropped.
pub(super) struct PooledConnection {
    /// The connection and its permit, until it is dropped.
    held: Option<(OpenConnection, Permit)>,
    /// Whether a statement is running.
    pub(super) busy: bool,
    /// Whether a transaction may be open.
    pub(super) open: bool,
    pool: Arc<Pool>,
}

impl PooledConnection {
    fn new(pool: Arc<Pool>, connection: OpenConnection, permit: Permit) -> Self {
        Self {
            held: Some((connection, permit)),
            busy: false,
            open: false,
            pool,
        }
    }

    /// Closes the connection, and with it every idle one: it was found broken.
    pub(super) fn close(mut self) {
        self.held = None;
        self.pool.idle().clear();
    }
}

#[expect(clippy::expect_used, reason = "removed only when it is dropped")]
impl Deref for PooledConnection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        let held = self.held.as_ref();
        &held.expect("a connection until it is dropped").0.connection
    }
}

#[expect(clippy::expect_used, reason = "removed only when it is dropped")]
impl DerefMut for PooledConnection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        let held = self.held.as_mut();
        &mut held.expect("a connection until it is dropped").0.connection
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        let Some((connection, permit)) = self.held.take() else {
            return;
        };
        if !self.busy && !self.open {
            self.pool.put(connection);
            drop(permit);
        } else if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(self.pool.clone().restore(connection, self.open, permit));
        }
    }
}
