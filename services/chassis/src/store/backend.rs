//! The database under a store: SQLite or PostgreSQL.

use std::{fmt, time::Duration};

use berth::inspection::v1::StoreEngine;
use futures::{FutureExt, future::BoxFuture};
use tokio::sync::{MutexGuard, watch};

use crate::{
    domain::position::Position,
    store::{
        connection::StoreFuture,
        error::StoreError,
        migration::{Migration, Schema},
        transaction::{Job, Query},
    },
};

/// A database. The default methods are right for an embedded one with a single writer.
pub(crate) trait Backend: fmt::Debug + Send + Sync {
    /// Which database it is.
    fn kind(&self) -> StoreEngine;

    /// Runs a job in a transaction, for the `attempt`-th time, and returns when the commit is durable.
    fn write(&self, job: Job, attempt: u32) -> StoreFuture<'_, ()>;

    /// Runs a job that only reads.
    fn read(&self, query: Query) -> StoreFuture<'_, ()>;

    /// Changes with every commit.
    fn commits(&self) -> watch::Receiver<u64>;

    /// Signals a commit of another process.
    fn notify_commit(&self) {}

    /// Whether the last commit failed.
    fn is_failing(&self) -> bool;

    /// Resolves when the database has stopped for good.
    fn stopped(&self) -> BoxFuture<'_, ()> {
        std::future::pending().boxed()
    }

    /// The time for which an optimistic conflict is retried. With a single writer a conflict that lasts is a bug.
    fn retry_time(&self) -> Duration {
        Duration::ZERO
    }

    /// Serialises retries after optimistic conflicts.
    fn retry_lock(&self) -> BoxFuture<'_, Option<MutexGuard<'_, ()>>> {
        std::future::ready(None).boxed()
    }

    /// The column that orders the events of one aggregate on the log.
    fn log_order(&self) -> &'static str {
        "seq"
    }

    /// Applies missing migrations. An embedded database applies them when it is opened.
    fn migrate(&self, _: &'static [Migration]) -> StoreFuture<'_, ()> {
        ready(())
    }

    /// The migrations that are needed and missing.
    fn schema(&self, _: &'static [Migration]) -> StoreFuture<'_, Schema> {
        ready(Schema::default())
    }

    /// Numbers committed events without a number, if the log has the history of `floor`. Returns whether there were any.
    fn number_events(&self, _floor: Position) -> StoreFuture<'_, bool> {
        ready(false)
    }

    /// How many events have no number yet.
    fn unnumbered(&self) -> StoreFuture<'_, i64> {
        ready(0)
    }

    /// Acquires or renews a lease; false if another holder has it.
    fn lease<'a>(&'a self, _name: &'a str, _holder: &'a str, _: Duration) -> StoreFuture<'a, bool> {
        ready(true)
    }

    /// Whether anybody holds a lease: a process uses the database.
    fn is_led(&self) -> StoreFuture<'_, bool> {
        ready(false)
    }

    /// Releases a lease.
    fn release<'a>(&'a self, _name: &'a str, _holder: &'a str) -> StoreFuture<'a, ()> {
        ready(())
    }

    /// How many connections were opened. Each may lead to another server. An embedded database has none.
    fn connections_opened(&self) -> u64 {
        0
    }

    /// How many statements were sent over the network.
    fn round_trips(&self) -> u64 {
        0
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> StoreFuture<'a, T> {
    std::future::ready(Ok::<_, StoreError>(value)).boxed()
}
