//! The writer thread: commits all queued jobs together (group commit).
//!
//! Callers get their results after the commit is on disk (`synchronous=FULL`).

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::FutureExt;
use rusqlite::{Connection, ffi};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    base::faults::Faults,
    store::{
        error::StoreError,
        sqlite::connection::{SqliteConnection, awaited, store_error},
        transaction::{Job, Outcome},
    },
};

/// The most jobs that share a commit.
const BATCH: usize = 128;

/// A job and where its result is sent.
pub(super) type Queued = (Job, oneshot::Sender<Result<(), StoreError>>);

/// The thread that writes.
pub(super) struct Writer {
    connection: SqliteConnection,
    committed: watch::Sender<u64>,
    faults: Faults,
    /// Whether the last commit failed.
    failing: Arc<AtomicBool>,
    /// Whether the disk failed to sync.
    unsynced: bool,
}

impl Writer {
    pub(super) fn new(connection: Connection, faults: Faults) -> Self {
        Self {
            connection: connection.into(),
            committed: watch::Sender::new(0),
            faults,
            failing: Arc::default(),
            unsynced: false,
        }
    }

    /// Changes with every commit.
    pub(super) fn commits(&self) -> watch::Receiver<u64> {
        self.committed.subscribe()
    }

    /// Whether the last commit failed.
    pub(super) fn failing(&self) -> Arc<AtomicBool> {
        self.failing.clone()
    }

    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Queued>) {
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(first) = jobs.blocking_recv() {
            batch.push(first);
            while batch.len() < BATCH
                && let Ok(next) = jobs.try_recv()
            {
                batch.push(next);
            }
            // A caller that was cancelled does not wait for its job.
            batch.retain(|(_, reply)| !reply.is_closed());
            metrics::histogram!("berth_store_batch")
                .record(f64::from(u32::try_from(batch.len()).unwrap_or(u32::MAX)));
            self.commit(&mut batch);
            if self.unsynced {
                tracing::error!(
                    "the disk failed to sync: the store stops; restart the process to recover it"
                );
                return;
            }
        }
    }

    /// Runs a batch of jobs and commits them together. Callers get their results after the commit.
    ///
    /// Savepoints are expensive, and nearly always every job of a batch commits, so the batch first runs without them. If
    /// a job has written and wants to roll back, the whole batch is rolled back and run again with a savepoint per job.
    fn commit(&mut self, batch: &mut Vec<Queued>) {
        let (open, results) = match self.attempt(batch, false) {
            Some(done) => done,
            None => self.attempt(batch, true).unwrap_or_else(|| {
                let bug = StoreError::Bug("a savepoint was not rolled back".into());
                (Err(bug.clone()), vec![Err(bug); batch.len()])
            }),
        };
        let committed = open
            .and_then(|()| self.pass("store.commit"))
            .and_then(|()| self.end());
        if committed.is_err() && !self.connection.sql.is_autocommit() {
            // If this fails too, the next BEGIN fails.
            let _ = self.connection.run("ROLLBACK");
        }
        self.failing.store(committed.is_err(), Ordering::Relaxed);
        if committed.is_ok() {
            self.committed.send_modify(|count| *count += 1);
        }
        // A test may lose the result of a commit that happened.
        let lost = self.pass("store.answer");
        for ((_, reply), done) in batch.drain(..).zip(results) {
            // The caller may be gone.
            let _ = reply.send(
                done.and_then(|()| committed.clone())
                    .and_then(|()| lost.clone()),
            );
        }
    }

    /// Commits. After a failed sync the content of the disk is unknown, and another commit would only hide that.
    fn end(&mut self) -> Result<(), StoreError> {
        let sync = self.pass("store.sync");
        self.unsynced = sync.is_err();
        sync?;
        self.connection
            .sql
            .execute_batch("COMMIT")
            .map_err(|error| {
                let code = error.sqlite_error().map(|error| error.extended_code);
                self.unsynced = matches!(
                    code,
                    Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)
                );
                store_error(error)
            })
    }

    fn pass(&self, point: &str) -> Result<(), StoreError> {
        self.faults
            .pass(point)
            .map_err(|fault| StoreError::Unavailable(fault.to_string()))
    }

    /// Runs the jobs of a batch in a transaction that is left open. Returns the state of the transaction and the result
    /// of each job; none if a job wants to roll back and has no savepoint.
    fn attempt(&mut self, batch: &[Queued], savepoints: bool) -> Option<Attempt> {
        let mut open = self.connection.run("BEGIN IMMEDIATE");
        let mut results = Vec::with_capacity(batch.len());
        for (job, _) in batch {
            let done = open.clone().and_then(|()| self.job(job, savepoints));
            if open.is_ok() && self.connection.sql.is_autocommit() {
                // A full disk makes SQLite roll back by itself. The following jobs must not run outside a transaction.
                open = Err(StoreError::Unavailable("the store rolled back".into()));
            }
            match done {
                Ok(Some(result)) => results.push(result),
                Err(error) => results.push(Err(error)),
                Ok(None) => {
                    // If this fails, the next BEGIN fails.
                    let _ = self.connection.run("ROLLBACK");
                    return None;
                }
            }
        }
        Some((open, results))
    }

    /// Runs a job. None if it has written, wants to roll back, and has no savepoint.
    fn job(
        &mut self,
        job: &Job,
        savepoint: bool,
    ) -> Result<Option<Result<(), StoreError>>, StoreError> {
        if savepoint {
            self.connection.run("SAVEPOINT job")?;
        }
        self.connection.wrote = false;
        let done = std::panic::catch_unwind(AssertUnwindSafe(|| {
            job(&mut self.connection).now_or_never()
        }));
        let (undo, result) = match done {
            Ok(Some(Outcome::Commit)) => (false, Ok(())),
            Ok(Some(Outcome::Rollback)) => (self.connection.wrote, Ok(())),
            Ok(None) => (self.connection.wrote, Err(awaited())),
            Err(_) => (
                self.connection.wrote,
                Err(StoreError::Bug("a job panicked".into())),
            ),
        };
        if self.connection.sql.is_autocommit() {
            return Err(StoreError::Unavailable("the store rolled back".into()));
        }
        match (savepoint, undo) {
            (true, true) => {
                self.connection.run("ROLLBACK TO job")?;
                self.connection.run("RELEASE job")?;
            }
            (true, false) => self.connection.run("RELEASE job")?,
            (false, true) => return Ok(None),
            (false, false) => {}
        }
        Ok(Some(result))
    }
}

/// The state of the transaction, and the result of each job.
type Attempt = (Result<(), StoreError>, Vec<Result<(), StoreError>>);
