//! The two engines under a store, behind the same few operations.

use std::{sync::Arc, time::Duration};

use berth::inspection::v1::StoreEngine;
use tokio::sync::{MutexGuard, watch};

use crate::store::{
    Migration, Schema, StoreError,
    postgres::Postgres,
    sqlite::Sqlite,
    work::{Job, Query},
};

#[derive(Debug)]
pub(super) enum Engine {
    Sqlite(Sqlite),
    Postgres(Arc<Postgres>),
}

impl Engine {
    /// Runs a job in a transaction, for the `attempt`-th time, and answers when that is durable.
    pub(super) async fn write(&self, job: Job, attempt: u32) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.write(job).await,
            Self::Postgres(postgres) => postgres.write(job, attempt).await,
        }
    }

    /// Runs a job that only reads.
    pub(super) async fn read(&self, query: Query) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.read(query),
            Self::Postgres(postgres) => postgres.read(query).await,
        }
    }

    /// How long a transaction that lost a race is tried again.
    pub(super) fn patience(&self) -> Duration {
        match self {
            // There is one writer: who loses a race loses it to a bug.
            Self::Sqlite(_) => Duration::ZERO,
            Self::Postgres(postgres) => postgres.timeout(),
        }
    }

    /// Waits for the turn of somebody who has lost a race.
    pub(super) async fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(postgres) => postgres.turn().await,
        }
    }

    /// The column of the log that tells which of two events was recorded first.
    pub(super) fn place(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "seq",
            Self::Postgres(_) => "place",
        }
    }

    pub(super) async fn migrate(&self, migrations: &[Migration]) -> Result<(), StoreError> {
        match self {
            // It did when it was opened.
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(postgres) => postgres.migrate(migrations).await,
        }
    }

    pub(super) async fn schema(&self, migrations: &[Migration]) -> Result<Schema, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(Schema::default()),
            Self::Postgres(postgres) => postgres.schema(migrations).await,
        }
    }

    /// Numbers what has no number, if the log goes as far as it was seen to go.
    pub(super) async fn stamp(&self, floor: i64) -> Result<bool, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(false),
            Self::Postgres(postgres) => postgres.stamp(floor).await,
        }
    }

    pub(super) async fn unnumbered(&self) -> Result<i64, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(0),
            Self::Postgres(postgres) => postgres.unnumbered().await,
        }
    }

    pub(super) async fn lease(
        &self,
        name: &str,
        holder: &str,
        time: Duration,
    ) -> Result<bool, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(true),
            Self::Postgres(postgres) => postgres.lease(name, holder, time).await,
        }
    }

    pub(super) async fn release(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(postgres) => postgres.release(name, holder).await,
        }
    }

    /// What it is, for whoever operates the platform.
    pub(super) fn kind(&self) -> StoreEngine {
        match self {
            Self::Sqlite(_) => StoreEngine::Sqlite,
            Self::Postgres(_) => StoreEngine::Postgresql,
        }
    }

    /// Changes with every commit.
    pub(super) fn commits(&self) -> watch::Receiver<u64> {
        match self {
            Self::Sqlite(sqlite) => sqlite.commits(),
            Self::Postgres(postgres) => postgres.commits(),
        }
    }

    /// Somebody else has committed.
    pub(super) fn nudge(&self) {
        match self {
            // There is nobody else.
            Self::Sqlite(_) => {}
            Self::Postgres(postgres) => postgres.nudge(),
        }
    }

    pub(super) fn is_failing(&self) -> bool {
        match self {
            Self::Sqlite(sqlite) => sqlite.is_failing(),
            Self::Postgres(postgres) => postgres.is_failing(),
        }
    }

    pub(super) async fn stopped(&self) {
        match self {
            Self::Sqlite(sqlite) => sqlite.stopped().await,
            // What a server has written is the server's to know.
            Self::Postgres(_) => std::future::pending().await,
        }
    }

    pub(super) fn round_trips(&self) -> u64 {
        match self {
            Self::Sqlite(_) => 0,
            Self::Postgres(postgres) => postgres.round_trips(),
        }
    }
}
