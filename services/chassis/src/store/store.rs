//! The store: opens a database and runs transactions.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::{sync::watch, time::Instant};

use crate::{
    base::{clock::Clock, faults::Faults},
    domain::event::{Cause, Publish},
    store::{
        backend::Backend,
        claim_formats::{self, ClaimFormat},
        connection::Conn,
        error::{AsStoreError, ExecuteError, StoreError},
        migration::{self, Migration},
        postgres::Postgres,
        projections::Views,
        settings::DatabaseSettings,
        sqlite::Sqlite,
        transaction::{Job, Outcome, Query},
        unit_of_work::{Done, UnitOfWork},
        write_fence::FenceState,
    },
};

/// The fewest attempts of a transaction after optimistic conflicts.
const ATTEMPTS: u32 = 10;
/// The longest pause between two attempts, in microseconds.
const LONGEST_PAUSE: u64 = 20_000;

/// The store of one context. Clones share it.
#[derive(Clone, Debug)]
pub struct Store(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) context: &'static str,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
    pub(crate) views: Views,
    pub(crate) migrations: &'static [Migration],
    pub(crate) claims: Vec<ClaimFormat>,
    pub(crate) fence: FenceState,
}

/// How a store is opened.
#[derive(Clone, Debug, Default)]
pub struct StoreOptions {
    /// The source of times.
    pub clock: Clock,
    /// Faults that tests inject.
    pub faults: Faults,
    /// Read models of the context's own events, written in the same transaction as the events.
    pub views: Views,
    /// DDL of the read models.
    pub migrations: &'static [Migration],
    /// The formats of the claims of all aggregates that claim.
    pub claims: Vec<ClaimFormat>,
}

impl Store {
    /// Opens the store of a context in a SQLite file, which is created if it does not exist.
    pub async fn sqlite(
        context: &'static str,
        path: &Path,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        let sqlite = Sqlite::open(path, options.faults.clone())?;
        let (migrations, claims) = (options.migrations, options.claims.clone());
        let store = Self::new(context, Arc::new(sqlite), options);
        store
            .transact(move |unit| {
                let (at, claims) = (unit.at(), claims.clone());
                Box::pin(async move {
                    migration::apply(unit.conn(), migrations, at).await?;
                    claim_formats::renew(unit.conn(), &claims).await
                })
            })
            .await?;
        store.refresh_fence().await?;
        Ok(store)
    }

    /// Opens the store of a context in a PostgreSQL database, without connecting to it yet: the database may be
    /// unavailable. [`Store::schema`] shows whether it is ready.
    pub fn postgres(
        context: &'static str,
        url: &str,
        settings: &DatabaseSettings,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        let postgres = Postgres::open(context, url, settings, options.faults.clone())?;
        Ok(Self::new(context, Arc::new(postgres), options))
    }

    fn new(context: &'static str, backend: Arc<dyn Backend>, options: StoreOptions) -> Self {
        let StoreOptions {
            clock,
            faults,
            views,
            migrations,
            claims,
        } = options;
        Self(Arc::new(Inner {
            context,
            backend,
            clock,
            faults,
            views,
            migrations,
            claims,
            fence: FenceState::new(),
        }))
    }

    /// The name of the context.
    pub fn context(&self) -> &'static str {
        self.0.context
    }

    /// The clock of the store.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The fault points of the store.
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// Changes with every commit.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.0.backend.commits()
    }

    /// Whether the last commit failed.
    pub fn is_failing(&self) -> bool {
        self.0.backend.is_failing()
    }

    /// Tests whether the store can write.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.transact_fenced(|unit| {
            let at = unit.at();
            Box::pin(migration::probe(unit.conn(), at))
        })
        .await
    }

    /// Waits until the store has stopped for good because the disk failed to sync. The process must end then; a restart
    /// recovers what is on disk.
    pub async fn stopped(&self) {
        self.0.backend.stopped().await;
    }

    /// Executes a command: load, decide, evolve, save state, claims and events, commit.
    ///
    /// A command that changes nothing (a repeat) returns `Ok` with no events. A refused one has changed nothing.
    pub async fn execute<A: Publish>(
        &self,
        id: A::Id,
        command: A::Command,
        cause: &Cause,
    ) -> Result<Done<A>, ExecuteError<A::Refusal>> {
        let cause = cause.clone();
        self.transact(move |unit| {
            let (command, cause) = (command.clone(), cause.clone());
            Box::pin(async move { unit.execute::<A>(id, &command, &cause).await })
        })
        .await
    }

    /// Runs `work` in a transaction, which is committed if and only if it returns `Ok`. It may run several times, and
    /// must await nothing but the unit of work. It does not run while the store is fenced.
    pub async fn transact<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + AsStoreError + Send + 'static,
        F: for<'u> Fn(&'u mut UnitOfWork<'_>) -> BoxFuture<'u, Result<T, E>>
            + Send
            + Sync
            + 'static,
    {
        if let Some(fence) = self.fenced() {
            return Err(StoreError::Fenced(fence.to_string()).into());
        }
        let (store, work) = (self.clone(), Arc::new(work));
        self.transact_fenced(move |unit| {
            let (store, work) = (store.clone(), work.clone());
            Box::pin(async move {
                let done = work(unit).await?;
                store.verify_log(unit).await?;
                Ok(done)
            })
        })
        .await
    }

    /// Runs `work` in a transaction, even if the store is fenced.
    pub async fn transact_fenced<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + AsStoreError + Send + 'static,
        F: for<'u> Fn(&'u mut UnitOfWork<'_>) -> BoxFuture<'u, Result<T, E>>
            + Send
            + Sync
            + 'static,
    {
        let work = Arc::new(work);
        let began = Instant::now();
        let mut attempt = 0;
        loop {
            let lock = match attempt {
                0 => None,
                _ => self.0.backend.retry_lock().await,
            };
            let result = self.attempt(work.clone(), attempt).await;
            drop(lock);
            attempt += 1;
            let error = result.as_ref().err().and_then(E::as_store_error);
            let expired = attempt >= ATTEMPTS && began.elapsed() >= self.0.backend.retry_time();
            if error != Some(&StoreError::Contended) || expired {
                return result;
            }
            metrics::counter!("berth_store_retries_total", "context" => self.0.context)
                .increment(1);
            // A random pause keeps the same transactions from meeting again.
            let longest = LONGEST_PAUSE.min(500_u64 << attempt.min(10));
            let pause = rand::random_range(0..longest);
            tokio::time::sleep(Duration::from_micros(pause)).await;
        }
    }

    async fn attempt<T, E, F>(&self, work: Arc<F>, attempt: u32) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'u> Fn(&'u mut UnitOfWork<'_>) -> BoxFuture<'u, Result<T, E>>
            + Send
            + Sync
            + 'static,
    {
        let result = Arc::new(Mutex::new(None));
        let (inner, slot) = (self.0.clone(), result.clone());
        let job: Job = Box::new(move |conn| {
            let (work, inner, slot) = (work.clone(), inner.clone(), slot.clone());
            Box::pin(async move {
                let mut unit =
                    UnitOfWork::new(conn, inner.context, inner.clock.now(), &inner.views);
                let result = work(&mut unit).await;
                let outcome = if result.is_ok() {
                    Outcome::Commit
                } else {
                    Outcome::Rollback
                };
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                outcome
            })
        });
        self.0.backend.write(job, attempt).await?;
        result_in(&result)
    }

    /// Runs queries on a read-only connection. They must await nothing but the connection.
    pub async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut dyn Conn) -> BoxFuture<'c, Result<T, StoreError>>
            + Send
            + 'static,
    {
        let result = Arc::new(Mutex::new(None));
        let slot = result.clone();
        let query: Query = Box::new(move |conn| {
            Box::pin(async move {
                let result = work(conn).await;
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            })
        });
        self.0.backend.read(query).await?;
        result_in(&result)
    }
}

fn result_in<T, E: From<StoreError>>(slot: &Mutex<Option<Result<T, E>>>) -> Result<T, E> {
    slot.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()
        .unwrap_or_else(|| Err(StoreError::Bug("a job left no result".into()).into()))
}
