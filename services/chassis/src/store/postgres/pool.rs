//! Connections to one database: each is lent to one job at a time and kept for as long as it is sound.
//!
//! A connection that comes back while a statement runs or a transaction is open is closed, so nobody ever finds the work
//! of somebody who has gone away. Nothing is sent to a connection that is lent or given back: a job is the round trips of
//! its statements and no more.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::{
    Connection,
    postgres::{PgConnectOptions, PgConnection},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout},
};

use crate::store::StoreError;
use crate::store::postgres::fault::Fault;

/// A connection that nobody used for so long is closed.
const IDLE: Duration = Duration::from_mins(5);
/// A connection is replaced after so long, so that replicas of the database come to share the load.
const LIFE: Duration = Duration::from_mins(30);
/// How long to wait before connecting again.
const REST: Duration = Duration::from_millis(50);

pub(super) struct Pool {
    options: PgConnectOptions,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    /// Since when the database cannot be connected to.
    away: Mutex<Option<Instant>>,
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

/// No connection is to be had.
#[derive(Debug)]
pub(super) enum NoConnection {
    /// All are lent, for too long.
    Busy,
    /// The database cannot be connected to.
    Away(StoreError),
}

impl From<NoConnection> for StoreError {
    fn from(why: NoConnection) -> Self {
        match why {
            NoConnection::Busy => Self::Unavailable("all connections are in use".to_owned()),
            NoConnection::Away(why) => why,
        }
    }
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
            away: Mutex::default(),
            timeout,
            metrics: Metrics {
                open: gauge("open"),
                used: gauge("used"),
                wait: metrics::histogram!("berth_store_acquire_seconds", "context" => context),
            },
        }
    }

    /// Lends a connection.
    pub(super) async fn lend(self: &Arc<Self>) -> Result<Lent, NoConnection> {
        let began = Instant::now();
        let permit = timeout(self.timeout, self.permits.clone().acquire_owned()).await;
        let permit = permit.ok().and_then(Result::ok).ok_or(NoConnection::Busy)?;
        let (connection, born) = match self.take() {
            Some(idle) => (idle.connection, idle.born),
            None => (self.connect().await?, Instant::now()),
        };
        self.metrics.used.increment(1);
        self.metrics.wait.record(began.elapsed());
        Ok(Lent {
            connection: Some(connection),
            busy: false,
            open: false,
            born,
            pool: self.clone(),
            _permit: permit,
        })
    }

    /// Closes every connection that nobody uses: one of them was found broken.
    pub(super) fn distrust(&self) {
        let broken = std::mem::take(&mut *self.idle());
        self.metrics.open.decrement(count(broken.len()));
    }

    fn take(&self) -> Option<Idle> {
        let mut idle = self.idle();
        let before = idle.len();
        // The one used last is at the end; those at the beginning may not be needed any more.
        let old = idle.iter().take_while(|idle| idle.since.elapsed() > IDLE);
        let old = old.count();
        idle.drain(..old);
        idle.retain(|idle| idle.born.elapsed() < LIFE);
        self.metrics.open.decrement(count(before - idle.len()));
        idle.pop()
    }

    /// Connects; if the database went away just now, waits a little for it to come back.
    async fn connect(&self) -> Result<PgConnection, NoConnection> {
        loop {
            let connected = timeout(self.timeout, PgConnection::connect_with(&self.options)).await;
            let fault = match connected {
                Ok(Ok(connection)) => {
                    *self.away() = None;
                    self.metrics.open.increment(1);
                    return Ok(connection);
                }
                Ok(Err(error)) => Fault::connecting(&error),
                Err(_) => Fault::silent(),
            };
            let since = *self.away().get_or_insert_with(Instant::now);
            if !fault.broken || since.elapsed() >= self.timeout {
                return Err(NoConnection::Away(fault.error));
            }
            sleep(REST).await;
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn away(&self) -> MutexGuard<'_, Option<Instant>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// A connection that is lent.
pub(super) struct Lent {
    connection: Option<PgConnection>,
    /// Whether a statement is on its way.
    pub(super) busy: bool,
    /// Whether a transaction is open.
    pub(super) open: bool,
    born: Instant,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

#[expect(clippy::expect_used, reason = "taken only when it is given back")]
impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect("a connection that is lent")
    }
}

#[expect(clippy::expect_used, reason = "taken only when it is given back")]
impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("a connection that is lent")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.pool.metrics.used.decrement(1);
        let Some(connection) = self.connection.take() else {
            return;
        };
        if self.busy || self.open {
            // The server rolls back when it sees the connection gone.
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
