//! The connection pool of one database.
//!
//! sqlx's own pool does not fit: it sends a message and waits for the reply whenever a connection is returned. Here nothing
//! is sent when a connection is acquired or returned. A connection that is returned while a statement runs or a
//! transaction is open is closed.

use std::{
    ops::{Deref, DerefMut},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::{
    Connection,
    postgres::{PgConnectOptions, PgConnection},
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep, timeout},
};

use crate::store::postgres::error::StatementError;

/// An idle connection is closed after this time.
const IDLE: Duration = Duration::from_mins(5);
/// A connection is replaced after this time, so that the load spreads over new replicas of the database.
const MAX_LIFETIME: Duration = Duration::from_mins(30);
/// The pause between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Pool {
    options: PgConnectOptions,
    permits: Semaphore,
    idle: Mutex<Vec<Idle>>,
    /// Since when connecting fails.
    unreachable_since: Mutex<Option<Instant>>,
    timeout: Duration,
    metrics: Metrics,
}

struct Idle {
    connection: PgConnection,
    born: Instant,
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
            permits: Semaphore::new(connections),
            idle: Mutex::default(),
            unreachable_since: Mutex::default(),
            timeout,
            metrics: Metrics {
                open: gauge("open"),
                used: gauge("used"),
                wait: metrics::histogram!("berth_store_acquire_seconds", "context" => context),
            },
        }
    }

    pub(super) async fn acquire(&self) -> Result<PooledConnection<'_>, StatementError> {
        let began = Instant::now();
        let permit = timeout(self.timeout, self.permits.acquire()).await;
        let permit = permit.ok().and_then(Result::ok);
        let permit = permit.ok_or_else(StatementError::busy)?;
        let (connection, born) = match self.pop_idle() {
            Some(idle) => (idle.connection, idle.born),
            None => (self.connect().await?, Instant::now()),
        };
        self.metrics.used.increment(1);
        self.metrics.wait.record(began.elapsed());
        Ok(PooledConnection {
            connection: Some(connection),
            busy: false,
            open: false,
            born,
            pool: self,
            _permit: permit,
        })
    }

    /// Closes every idle connection, because one was found broken.
    pub(super) fn close_idle(&self) {
        let broken = std::mem::take(&mut *self.idle());
        self.metrics.open.decrement(count(broken.len()));
    }

    fn pop_idle(&self) -> Option<Idle> {
        let mut idle = self.idle();
        let before = idle.len();
        // The most recently used connection is the last.
        let old = idle.iter().take_while(|idle| idle.since.elapsed() > IDLE);
        let old = old.count();
        idle.drain(..old);
        idle.retain(|idle| idle.born.elapsed() < MAX_LIFETIME);
        self.metrics.open.decrement(count(before - idle.len()));
        idle.pop()
    }

    /// Connects. If the database has become unreachable just now, tries again for a while.
    async fn connect(&self) -> Result<PgConnection, StatementError> {
        loop {
            let connected = timeout(self.timeout, PgConnection::connect_with(&self.options)).await;
            let error = match connected {
                Ok(Ok(connection)) => {
                    *self.unreachable_since() = None;
                    self.metrics.open.increment(1);
                    return Ok(connection);
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

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unreachable_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.unreachable_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// A connection in use. It returns to the pool when it is dropped.
pub(super) struct PooledConnection<'p> {
    connection: Option<PgConnection>,
    /// Whether a statement is running.
    pub(super) busy: bool,
    /// Whether a transaction is open.
    pub(super) open: bool,
    born: Instant,
    pool: &'p Pool,
    _permit: SemaphorePermit<'p>,
}

#[expect(clippy::expect_used, reason = "removed only when it is dropped")]
impl Deref for PooledConnection<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection
            .as_ref()
            .expect("a connection until it is dropped")
    }
}

#[expect(clippy::expect_used, reason = "removed only when it is dropped")]
impl DerefMut for PooledConnection<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection
            .as_mut()
            .expect("a connection until it is dropped")
    }
}

impl Drop for PooledConnection<'_> {
    fn drop(&mut self) {
        self.pool.metrics.used.decrement(1);
        let Some(connection) = self.connection.take() else {
            return;
        };
        if self.busy || self.open {
            // The server rolls back when the connection is closed.
            self.pool.metrics.open.decrement(1);
            return;
        }
        let (born, since) = (self.born, Instant::now());
        self.pool.idle().push(Idle {
            connection,
            born,
            since,
        });
    }
}
