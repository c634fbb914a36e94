//! The store of a context: loads, decides, saves and records, all in one transaction.

mod connection;
mod engine;
mod error;
mod fence;
mod migration;
mod postgres;
pub mod projections;
pub mod restorer;
mod settings;
mod sql;
mod sqlite;
mod survey;
mod unit_of_work;
mod upkeep;
mod work;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::{sync::watch, time::Instant};

pub use crate::store::fence::TAKEN;
pub use crate::store::{
    connection::{Conn, Row, Value},
    error::{AsStoreError, ExecuteError, StoreError},
    fence::Fence,
    migration::{Migration, Schema},
    settings::DatabaseSettings,
    sql::DeadLetter,
    unit_of_work::{Done, Unit},
};
use crate::store::{engine::Engine, postgres::Postgres, sqlite::Sqlite, work::Outcome};
pub(crate) use crate::store::{
    fence::{CARRIED, READ},
    survey::Survey,
    unit_of_work::Subjects,
    work::{Batch, Savepoint},
};
use crate::{
    base::{clock::Clock, faults::Faults, time::Timestamp},
    domain::{
        aggregate::{Aggregate, Versioned},
        event::{Cause, Publish, Recorded},
        log_id::LogId,
    },
    store::projections::Views,
};

/// How often a transaction that lost a race is tried at least.
const TRIES: u32 = 10;
/// Longest pause between two tries, in microseconds.
const PAUSE: u64 = 20_000;

/// The store of one context; clones are the same store.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    context: &'static str,
    engine: Engine,
    clock: Clock,
    faults: Faults,
    views: Views,
    migrations: &'static [Migration],
    fencing: fence::Fencing,
}

/// How a store is opened.
#[derive(Clone, Debug, Default)]
pub struct StoreOptions {
    /// Tells the time.
    pub clock: Clock,
    /// What a test breaks.
    pub faults: Faults,
    /// Read models of the context's own events, written in the same transaction as the events.
    pub views: Views,
    /// DDL of the read models.
    pub migrations: &'static [Migration],
}

impl Store {
    /// Opens the store of a context in a SQLite file, which is made if it does not exist.
    pub async fn sqlite(
        context: &'static str,
        path: &Path,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        let engine = Sqlite::open(path, options.faults.clone())?;
        let store = Self::on(context, Engine::Sqlite(engine), options);
        store
            .transact(|unit| Box::pin(async move { unit.migrate().await }))
            .await?;
        store.look_at_fence().await?;
        Ok(store)
    }

    /// Opens the store of a context in a PostgreSQL database. Nothing is asked of the database yet: it may be away, and
    /// [`Store::schema`] tells whether it is ready.
    pub fn postgres(
        context: &'static str,
        url: &str,
        settings: &DatabaseSettings,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        let engine = Postgres::open(context, url, settings, options.faults.clone())?;
        Ok(Self::on(
            context,
            Engine::Postgres(Arc::new(engine)),
            options,
        ))
    }

    fn on(context: &'static str, engine: Engine, options: StoreOptions) -> Self {
        let StoreOptions {
            clock,
            faults,
            views,
            migrations,
        } = options;
        Self(Arc::new(Inner {
            context,
            engine,
            clock,
            faults,
            views,
            migrations,
            fencing: fence::Fencing::default(),
        }))
    }

    /// Name of the context whose store it is.
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
        self.0.engine.commits()
    }

    /// Whether the last commit failed.
    pub fn is_failing(&self) -> bool {
        self.0.engine.is_failing()
    }

    /// Writes something without meaning, to see whether it can.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.transact_fenced(|unit| Box::pin(async move { unit.probe().await }))
            .await
    }

    /// Waits until the store has stopped for good: the disk failed to sync. The process must end then, and recovers what
    /// is on disk when it starts again.
    pub async fn stopped(&self) {
        self.0.engine.stopped().await;
    }

    /// Gives a command to an aggregate: load, decide, evolve, save state, claims and events, commit.
    ///
    /// A command that changes nothing (a repeat) is `Ok` with no events. A refused one has changed nothing.
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

    /// Runs work in a transaction. What it wrote is kept if and only if it answers `Ok`. It may run several times, and
    /// must await nothing but the unit it is given. It does not run while the store is fenced.
    pub async fn transact<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + AsStoreError + Send + 'static,
        F: for<'u> Fn(&'u mut Unit<'_>) -> BoxFuture<'u, Result<T, E>> + Send + Sync + 'static,
    {
        match self.fenced() {
            Some(fence) => Err(StoreError::Fenced(fence.to_string()).into()),
            None => self.transact_fenced(work).await,
        }
    }

    /// Runs work in a transaction, whether the store is fenced or not.
    pub async fn transact_fenced<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + AsStoreError + Send + 'static,
        F: for<'u> Fn(&'u mut Unit<'_>) -> BoxFuture<'u, Result<T, E>> + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        let began = Instant::now();
        let mut attempt = 0;
        loop {
            let turn = match attempt {
                0 => None,
                _ => self.0.engine.turn().await,
            };
            let done = self.attempt(work.clone(), attempt).await;
            drop(turn);
            attempt += 1;
            let lost =
                done.as_ref().err().and_then(E::as_store_error) == Some(&StoreError::Contended);
            if !lost || (attempt >= TRIES && began.elapsed() >= self.0.engine.patience()) {
                return done;
            }
            metrics::counter!("berth_store_retries_total", "context" => self.0.context)
                .increment(1);
            // By chance, lest those who met meet again.
            let longest = PAUSE.min(500_u64 << attempt.min(10));
            let pause = rand::random_range(0..longest);
            tokio::time::sleep(Duration::from_micros(pause)).await;
        }
    }

    async fn attempt<T, E, F>(&self, work: Arc<F>, attempt: u32) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'u> Fn(&'u mut Unit<'_>) -> BoxFuture<'u, Result<T, E>> + Send + Sync + 'static,
    {
        let slot = Arc::new(Mutex::new(None));
        let (inner, answer) = (self.0.clone(), slot.clone());
        let job: work::Job = Box::new(move |conn| {
            let (work, inner, answer) = (work.clone(), inner.clone(), answer.clone());
            Box::pin(async move {
                let mut unit = Unit::new(conn, &inner);
                let done = work(&mut unit).await;
                let outcome = if done.is_ok() {
                    Outcome::Commit
                } else {
                    Outcome::Rollback
                };
                *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
                outcome
            })
        });
        self.0.engine.write(job, attempt).await?;
        take(&slot)
    }

    /// Runs queries on a connection that only reads. They must await nothing but the connection.
    pub async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut dyn Conn) -> BoxFuture<'c, Result<T, StoreError>>
            + Send
            + 'static,
    {
        let slot = Arc::new(Mutex::new(None));
        let answer = slot.clone();
        let query: work::Query = Box::new(move |conn| {
            Box::pin(async move {
                let done = work(conn).await;
                *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
            })
        });
        self.0.engine.read(query).await?;
        take(&slot)
    }

    /// One aggregate.
    pub async fn load<A: Aggregate>(&self, id: A::Id) -> Result<Option<Versioned<A>>, StoreError> {
        let id = id.to_string();
        let row = self
            .read(move |conn| Box::pin(async move { sql::aggregate(conn, A::KIND, &id).await }))
            .await?;
        row.map(|row| unit_of_work::versioned(&row, 0)).transpose()
    }

    /// Several aggregates, in the order of the ids; those that do not exist are left out.
    pub async fn load_all<A: Aggregate>(
        &self,
        ids: Vec<A::Id>,
    ) -> Result<Vec<(A::Id, Versioned<A>)>, StoreError> {
        self.read(move |conn| {
            Box::pin(async move {
                let mut found = Vec::with_capacity(ids.len());
                for id in ids {
                    if let Some(row) = sql::aggregate(conn, A::KIND, &id.to_string()).await? {
                        found.push((id, unit_of_work::versioned(&row, 0)?));
                    }
                }
                Ok(found)
            })
        })
        .await
    }

    /// Aggregates of a kind in the order of their ids, after one of them. For checks and rebuilds.
    pub async fn scan<A: Aggregate>(
        &self,
        after: Option<A::Id>,
        limit: i64,
    ) -> Result<Vec<(A::Id, Versioned<A>)>, StoreError> {
        let after = after.map_or_else(String::new, |id| id.to_string());
        let rows = self
            .read(move |conn| {
                Box::pin(async move { sql::aggregates_of(conn, A::KIND, &after, limit).await })
            })
            .await?;
        rows.iter()
            .map(|row| {
                let id = row
                    .text(0)?
                    .parse()
                    .map_err(|_| StoreError::Bug("an id in the store is no id".into()))?;
                Ok((id, unit_of_work::versioned(row, 1)?))
            })
            .collect()
    }

    /// Which of the claims in a range are held by anybody.
    pub async fn taken(&self, look: crate::ClaimRange) -> Result<Vec<String>, StoreError> {
        self.read(move |conn| Box::pin(async move { sql::taken(conn, &look, "").await }))
            .await
    }

    /// The aggregate of a kind that holds a claim, if one does: a claim is also a way to find its holder.
    pub async fn holder<A: Aggregate>(
        &self,
        scope: &'static str,
        key: String,
    ) -> Result<Option<A::Id>, StoreError> {
        let row = self
            .read(move |conn| Box::pin(async move { sql::holder(conn, scope, &key).await }))
            .await?;
        let Some(row) = row else { return Ok(None) };
        let owner = row.text(0)?.split_once('/');
        let id = owner.and_then(|(kind, id)| (kind == A::KIND).then(|| id.parse().ok())?);
        Ok(id)
    }

    /// Every claim as scope, key and owner (`<kind>/<id>`). For checks.
    pub async fn claims(&self) -> Result<Vec<(String, String, String)>, StoreError> {
        let rows = self.read(|conn| Box::pin(sql::claims(conn))).await?;
        rows.iter()
            .map(|row| {
                Ok((
                    row.text(0)?.into(),
                    row.text(1)?.into(),
                    row.text(2)?.into(),
                ))
            })
            .collect()
    }

    /// Kinds and ids of aggregates whose time has come.
    pub async fn due(
        &self,
        at: Timestamp,
        limit: i64,
    ) -> Result<Vec<(String, String)>, StoreError> {
        self.read(move |conn| Box::pin(sql::due(conn, at, limit)))
            .await
    }

    /// Events of the log after a sequence number, in order.
    pub async fn log_after(&self, after: i64, limit: i64) -> Result<Vec<Recorded>, StoreError> {
        let context = self.0.context;
        let events = self
            .read(move |conn| Box::pin(sql::log_after(conn, context, after, limit)))
            .await?;
        self.note_head(events.last().map_or(0, |last| last.seq));
        Ok(events)
    }

    /// All events about one aggregate, oldest first.
    pub async fn log_of(&self, subject: String) -> Result<Vec<Recorded>, StoreError> {
        let (context, place) = (self.0.context, self.0.engine.place());
        self.read(move |conn| {
            Box::pin(async move { sql::log_of(conn, context, &subject, place).await })
        })
        .await
    }

    /// The last sequence number of the log; 0 if it is empty.
    pub async fn head(&self) -> Result<i64, StoreError> {
        let head = self.read(move |conn| Box::pin(sql::head(conn))).await?;
        self.note_head(head);
        Ok(head)
    }

    /// How far a consumer has come with a producer's log.
    pub async fn cursor(&self, consumer: String, log: LogId) -> Result<i64, StoreError> {
        self.read(move |conn| {
            Box::pin(async move { sql::cursor(conn, &consumer, log.context()).await })
        })
        .await
    }

    /// Dead letters after a place (consumer, producer, sequence number), in the order of their places.
    pub async fn dead_letters(
        &self,
        after: (String, String, i64),
        limit: i64,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        self.read(move |conn| {
            Box::pin(async move { sql::letters(conn, (&after.0, &after.1, after.2), limit).await })
        })
        .await
    }

    /// Whether a consumer has dead letters to be tried again by now.
    pub(crate) async fn any_letters_due(
        &self,
        consumer: String,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let due = self
            .read(move |conn| Box::pin(async move { sql::letters_due(conn, &consumer, at).await }))
            .await?;
        Ok(!due.is_empty())
    }

    /// Has dead letters tried again: those about one aggregate, or all if it is empty. Answers how many.
    pub async fn redrive(&self, subject: String) -> Result<u64, StoreError> {
        self.transact(move |unit| {
            let subject = subject.clone();
            Box::pin(async move { unit.redrive(&subject).await })
        })
        .await
    }
}

fn take<T, E: From<StoreError>>(slot: &Mutex<Option<Result<T, E>>>) -> Result<T, E> {
    slot.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()
        .unwrap_or_else(|| Err(StoreError::Bug("a job left no answer".into()).into()))
}
