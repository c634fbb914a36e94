//! PostgreSQL as a backend of the store.

use std::{panic::AssertUnwindSafe, time::Duration};

use berth::inspection::v1::StoreEngine;
use futures::{FutureExt, future::BoxFuture};
use tokio::{
    sync::{MutexGuard, watch},
    time::timeout,
};

use crate::{
    domain::position::Position,
    store::{
        backend::Backend,
        connection::StoreFuture,
        error::StoreError,
        migration::{Migration, Schema},
        postgres::{database::Postgres, lease, numbering, schema, transaction::PgTransaction},
        transaction::{Job, Outcome, Query},
    },
};

impl Backend for Postgres {
    fn kind(&self) -> StoreEngine {
        StoreEngine::Postgresql
    }

    fn write(&self, job: Job, attempt: u32) -> StoreFuture<'_, ()> {
        async move {
            let mut transaction = PgTransaction::new(self, attempt);
            let outcome = AssertUnwindSafe(job(&mut transaction)).catch_unwind().await;
            let Ok(outcome) = outcome else {
                return Err(StoreError::Bug("a job panicked".into()));
            };
            if transaction.end(outcome).await? {
                self.after_commit()?;
            }
            Ok(())
        }
        .boxed()
    }

    fn read(&self, query: Query) -> StoreFuture<'_, ()> {
        async move {
            let mut transaction = PgTransaction::new(self, 0);
            query(&mut transaction).await;
            // With a pooler in between, a transaction is open.
            transaction.end(Outcome::Rollback).await.map(|_| ())
        }
        .boxed()
    }

    fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    fn notify_commit(&self) {
        self.commits.send_modify(|count| *count += 1);
    }

    fn is_failing(&self) -> bool {
        Postgres::is_failing(self)
    }

    fn retry_time(&self) -> Duration {
        self.timeout
    }

    /// Concurrent retries would conflict with each other again, and all but one would fail.
    fn retry_lock(&self) -> BoxFuture<'_, Option<MutexGuard<'_, ()>>> {
        async move { timeout(self.timeout, self.retry_lock.lock()).await.ok() }.boxed()
    }

    fn log_order(&self) -> &'static str {
        "position"
    }

    fn migrate(&self, migrations: &'static [Migration]) -> StoreFuture<'_, ()> {
        schema::migrate(&self.options, migrations).boxed()
    }

    fn schema(&self, migrations: &'static [Migration]) -> StoreFuture<'_, Schema> {
        async move {
            let mut transaction = PgTransaction::new(self, 0);
            let schema = schema::state(&mut transaction, migrations).await;
            transaction.end(Outcome::Rollback).await?;
            schema
        }
        .boxed()
    }

    fn number_events(&self, floor: Position) -> StoreFuture<'_, bool> {
        numbering::number(self, floor).boxed()
    }

    fn unnumbered(&self) -> StoreFuture<'_, i64> {
        numbering::unnumbered(self).boxed()
    }

    fn lease<'a>(
        &'a self,
        name: &'a str,
        holder: &'a str,
        time: Duration,
    ) -> StoreFuture<'a, bool> {
        lease::acquire(self, name, holder, time).boxed()
    }

    fn is_led(&self) -> StoreFuture<'_, bool> {
        lease::any(self).boxed()
    }

    fn release<'a>(&'a self, name: &'a str, holder: &'a str) -> StoreFuture<'a, ()> {
        lease::release(self, name, holder).boxed()
    }

    fn connections_opened(&self) -> u64 {
        self.pool.opened()
    }

    fn round_trips(&self) -> u64 {
        Postgres::round_trips(self)
    }
}
