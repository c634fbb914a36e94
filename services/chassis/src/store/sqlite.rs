//! The SQLite engine: one writer thread that commits what has queued up in one go, and readers beside it.
//!
//! Every job runs in a savepoint of its own, so one that fails leaves the others alone, and all are answered only after
//! the commit is on disk (`synchronous=FULL`).

use std::{
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::{FutureExt, future::BoxFuture};
use rusqlite::{
    CachedStatement, Connection, ErrorCode, OpenFlags, ffi,
    types::{ToSqlOutput, ValueRef},
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::store::{
    StoreError,
    connection::{Conn, Row, Value},
    sql,
    work::{Answer, Batch, Found, Job, Outcome, Query, Savepoint, Step, Work},
};
use crate::{base::faults::Faults, domain::aggregate::ClaimRange};

/// At most so many jobs share a commit.
const BATCH: usize = 128;
/// At most so many jobs wait for the writer; more wait at the door.
const QUEUE: usize = 4096;

/// The tables of every context. `log.seq` is given by the insert itself: there is one writer, so it has no gaps.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS aggregate (
        kind TEXT NOT NULL, id TEXT NOT NULL, version BIGINT NOT NULL, state TEXT NOT NULL, due_at BIGINT,
        created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, PRIMARY KEY (kind, id));
    CREATE INDEX IF NOT EXISTS aggregate_due ON aggregate (due_at) WHERE due_at IS NOT NULL;
    CREATE TABLE IF NOT EXISTS claim (
        scope TEXT NOT NULL, key TEXT NOT NULL, owner TEXT NOT NULL, PRIMARY KEY (scope, key)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS log (
        seq BIGINT NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL, aggregate TEXT NOT NULL,
        version BIGINT NOT NULL, at BIGINT NOT NULL, payload BYTEA NOT NULL, headers TEXT NOT NULL,
        PRIMARY KEY (seq)) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS log_aggregate ON log (aggregate, version);
    CREATE TABLE IF NOT EXISTS cursor (
        consumer TEXT NOT NULL, producer TEXT NOT NULL, seq BIGINT NOT NULL,
        PRIMARY KEY (consumer, producer)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS dead_letter (
        consumer TEXT NOT NULL, producer TEXT NOT NULL, seq BIGINT NOT NULL, id TEXT NOT NULL,
        type TEXT NOT NULL, aggregate TEXT NOT NULL, version BIGINT NOT NULL, at BIGINT NOT NULL, payload BYTEA NOT NULL,
        headers TEXT NOT NULL, reason TEXT NOT NULL, attempts BIGINT NOT NULL, parked BIGINT NOT NULL,
        next_attempt_at BIGINT NOT NULL, PRIMARY KEY (consumer, producer, seq)) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS dead_letter_aggregate ON dead_letter (consumer, producer, aggregate, seq);
    CREATE TABLE IF NOT EXISTS fence (
        only BIGINT PRIMARY KEY, head BIGINT NOT NULL, seen BIGINT NOT NULL, witness TEXT NOT NULL,
        why TEXT NOT NULL, at BIGINT NOT NULL);
    CREATE TABLE IF NOT EXISTS migration (name TEXT PRIMARY KEY, applied_at BIGINT NOT NULL) WITHOUT ROWID;
";

type Queued = (Job, oneshot::Sender<Result<(), StoreError>>);

/// One database file.
#[derive(Debug)]
pub(crate) struct Sqlite {
    path: PathBuf,
    // Closed before the writer, whose connection tidies up if it is the last.
    readers: Mutex<Vec<Reader>>,
    queue: mpsc::Sender<Queued>,
    commits: watch::Receiver<u64>,
    failing: Arc<AtomicBool>,
}

impl Sqlite {
    /// Opens the file, makes the tables, and starts the writer.
    pub(crate) fn open(path: &Path, faults: Faults) -> Result<Self, StoreError> {
        let connection = Connection::open(path).map_err(broken)?;
        connection
            .execute_batch(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000; PRAGMA foreign_keys=ON;
                 PRAGMA cache_size=-16384; PRAGMA wal_autocheckpoint=4000; PRAGMA temp_store=MEMORY;",
            )
            .map_err(broken)?;
        connection.execute_batch(TABLES).map_err(broken)?;
        connection.set_prepared_statement_cache_capacity(128);

        let (queue, jobs) = mpsc::channel(QUEUE);
        let (committed, commits) = watch::channel(0);
        let failing = Arc::new(AtomicBool::new(false));
        let fails = failing.clone();
        let name = path
            .file_stem()
            .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        std::thread::Builder::new()
            .name(format!("writer-{name}"))
            .spawn(move || {
                Writer {
                    connection: connection.into(),
                    committed,
                    faults,
                    failing: fails,
                    unsynced: false,
                }
                .run(jobs);
            })
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            queue,
            readers: Mutex::default(),
            commits,
            failing,
        })
    }

    /// Runs a job in the next commit and answers when that is on disk.
    pub(crate) async fn write(&self, job: Job) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let gone = || StoreError::Unavailable("the writer has stopped".into());
        self.queue.send((job, reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Runs a job that only reads, on this thread: everything it awaits is ready at once.
    pub(crate) fn read(&self, job: Query) -> Result<(), StoreError> {
        let idle = self.readers().pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => self.reader()?,
        };
        let done = job(&mut reader.0).now_or_never();
        self.readers().push(reader);
        done.ok_or_else(awaited)
    }

    /// Changes with every commit.
    pub(crate) fn commits(&self) -> watch::Receiver<u64> {
        self.commits.clone()
    }

    /// Whether the last commit failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Waits until the writer has stopped, which it does when the disk fails to sync.
    pub(crate) async fn stopped(&self) {
        self.queue.closed().await;
    }

    fn reader(&self) -> Result<Reader, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags).map_err(broken)?;
        connection
            .execute_batch(
                "PRAGMA busy_timeout=5000; PRAGMA cache_size=-4096; PRAGMA mmap_size=1073741824;",
            )
            .map_err(broken)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Reader(connection.into()))
    }

    fn readers(&self) -> std::sync::MutexGuard<'_, Vec<Reader>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Reader(Lite);

struct Writer {
    connection: Lite,
    committed: watch::Sender<u64>,
    faults: Faults,
    /// Whether the last commit failed.
    failing: Arc<AtomicBool>,
    /// Whether the disk failed to sync.
    unsynced: bool,
}

impl Writer {
    fn run(mut self, mut jobs: mpsc::Receiver<Queued>) {
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(first) = jobs.blocking_recv() {
            batch.push(first);
            while batch.len() < BATCH
                && let Ok(next) = jobs.try_recv()
            {
                batch.push(next);
            }
            // What nobody waits for any more is not begun.
            batch.retain(|(_, reply)| !reply.is_closed());
            metrics::histogram!("berth_store_batch")
                .record(f64::from(u32::try_from(batch.len()).unwrap_or(u32::MAX)));
            self.commit(&mut batch);
            if self.unsynced {
                tracing::error!(
                    "the disk did not sync: the store stops and is recovered by a restart"
                );
                return;
            }
        }
    }

    /// Runs a batch of jobs and commits them together; nobody is answered before.
    ///
    /// Savepoints are dear, and nearly always every job of a batch is kept: it is tried without them first. A job that
    /// wants nothing kept of what it wrote spoils that, and all are run again, each in a savepoint of its own.
    fn commit(&mut self, batch: &mut Vec<Queued>) {
        let (open, answers) = match self.attempt(batch, false) {
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
            // Nothing of the batch is kept; if even this fails the next BEGIN will say so.
            let _ = self.connection.run("ROLLBACK");
        }
        self.failing.store(committed.is_err(), Ordering::Relaxed);
        if committed.is_ok() {
            self.committed.send_modify(|count| *count += 1);
        }
        // A test may lose the answer of a commit that happened.
        let lost = self.pass("store.answer");
        for ((_, reply), done) in batch.drain(..).zip(answers) {
            // An asker that has gone away does not want the answer.
            let _ = reply.send(
                done.and_then(|()| committed.clone())
                    .and_then(|()| lost.clone()),
            );
        }
    }

    /// Commits. If the disk could not sync, what it holds is unknown, and committing again would only hide that.
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
                broken(error)
            })
    }

    fn pass(&self, point: &str) -> Result<(), StoreError> {
        self.faults
            .pass(point)
            .map_err(|fault| StoreError::Unavailable(fault.to_string()))
    }

    /// Runs the jobs of a batch in a transaction that is left open. Answers how the transaction stands and what came of
    /// each job; nothing if it was spoilt and has been rolled back.
    fn attempt(&mut self, batch: &[Queued], careful: bool) -> Option<Attempt> {
        let mut open = self.connection.run("BEGIN IMMEDIATE");
        let mut answers = Vec::with_capacity(batch.len());
        for (job, _) in batch {
            let done = open.clone().and_then(|()| self.job(job, careful));
            if open.is_ok() && self.connection.sql.is_autocommit() {
                // A full disk makes SQLite roll back everything by itself: what was done is gone, and what follows
                // must not run outside a transaction.
                open = Err(StoreError::Unavailable("the store rolled back".into()));
            }
            match done {
                Ok(Some(answer)) => answers.push(answer),
                Err(error) => answers.push(Err(error)),
                Ok(None) => {
                    // A rollback that fails makes the next BEGIN fail.
                    let _ = self.connection.run("ROLLBACK");
                    return None;
                }
            }
        }
        Some((open, answers))
    }

    /// Runs a job. Answers nothing if it wants undone what it wrote and cannot have it, for want of a savepoint.
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
        let (undo, answer) = match done {
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
        Ok(Some(answer))
    }
}

/// How the transaction stands, and what came of each job.
type Attempt = (Result<(), StoreError>, Vec<Result<(), StoreError>>);

#[derive(Debug)]
struct Lite {
    sql: Connection,
    /// Whether the job in hand has written.
    wrote: bool,
}

impl From<Connection> for Lite {
    fn from(sql: Connection) -> Self {
        Self { sql, wrote: false }
    }
}

impl Lite {
    fn run(&mut self, sql: &str) -> Result<(), StoreError> {
        self.sql
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map(|_| ())
            .map_err(broken)
    }

    fn execute_now(&self, sql: &str, args: &[Value]) -> rusqlite::Result<u64> {
        let mut statement = self.sql.prepare_cached(sql)?;
        bind(&mut statement, args)?;
        let rows = statement.raw_execute()?;
        Ok(u64::try_from(rows).unwrap_or(u64::MAX))
    }

    fn query_now(&self, sql: &str, args: &[Value]) -> rusqlite::Result<Vec<Row>> {
        let mut statement = self.sql.prepare_cached(sql)?;
        let columns = statement.column_count();
        bind(&mut statement, args)?;
        let mut rows = statement.raw_query();
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let values = (0..columns)
                .map(|column| {
                    Ok(match row.get_ref(column)? {
                        ValueRef::Null => Value::Text(None),
                        ValueRef::Integer(value) => Value::Int(Some(value)),
                        ValueRef::Real(value) => Value::Real(Some(value)),
                        ValueRef::Text(value) => {
                            Value::Text(Some(String::from_utf8_lossy(value).into_owned()))
                        }
                        ValueRef::Blob(value) => Value::Blob(Some(value.to_vec())),
                    })
                })
                .collect::<rusqlite::Result<_>>()?;
            found.push(Row::new(values));
        }
        Ok(found)
    }
}

/// Binds `$1` to the first value and so on. To SQLite `$1` is a name, numbered by where it first appears.
fn bind(statement: &mut CachedStatement<'_>, args: &[Value]) -> rusqlite::Result<()> {
    for index in 1..=statement.parameter_count() {
        let name = statement
            .parameter_name(index)
            .and_then(|name| name.strip_prefix('$'));
        let place = name
            .and_then(|name| name.parse::<usize>().ok())
            .unwrap_or(index);
        let value = args
            .get(place.wrapping_sub(1))
            .ok_or(rusqlite::Error::InvalidParameterCount(args.len(), place))?;
        statement.raw_bind_parameter(index, value)?;
    }
    Ok(())
}

impl Conn for Lite {
    fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        args: Vec<Value>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        self.wrote = true;
        std::future::ready(self.execute_now(sql, &args).map_err(broken)).boxed()
    }

    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        args: Vec<Value>,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        std::future::ready(self.query_now(sql, &args).map_err(broken)).boxed()
    }

    fn write<'a>(
        &'a mut self,
        sql: &'a str,
        args: Vec<Value>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.wrote = true;
        let done = self.execute_now(sql, &args).map(|_| ());
        std::future::ready(done.map_err(broken)).boxed()
    }
}

impl Work for Lite {
    fn find<'a>(
        &'a mut self,
        kind: &'static str,
        id: &'a str,
        looks: &'a [ClaimRange],
    ) -> Answer<'a, Found> {
        sql::find(self, kind, id, looks).boxed()
    }

    fn taken<'a>(
        &'a mut self,
        looks: &'a [ClaimRange],
        owner: &'a str,
    ) -> Answer<'a, Vec<Vec<String>>> {
        sql::taken_of(self, looks, owner).boxed()
    }

    fn save(&mut self, step: Step) -> Answer<'_, ()> {
        sql::save(self, step).boxed()
    }

    fn advance<'a>(&'a mut self, batch: Batch<'a>) -> Answer<'a, Option<Vec<String>>> {
        sql::advance(self, batch).boxed()
    }

    fn savepoint(&mut self, point: Savepoint) -> Answer<'_, ()> {
        self.wrote = true;
        let done = self.run(match point {
            Savepoint::Set => "SAVEPOINT effect",
            Savepoint::Back => "ROLLBACK TO effect",
            Savepoint::Release => "RELEASE effect",
        });
        std::future::ready(done).boxed()
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Int(Some(value)) => ValueRef::Integer(*value),
            Self::Real(Some(value)) => ValueRef::Real(*value),
            Self::Text(Some(value)) => ValueRef::Text(value.as_bytes()),
            Self::Blob(Some(value)) => ValueRef::Blob(value),
            Self::Int(None) | Self::Real(None) | Self::Text(None) | Self::Blob(None) => {
                ValueRef::Null
            }
        }))
    }
}

fn awaited() -> StoreError {
    StoreError::Bug("a job awaited something other than its connection".into())
}

/// What is the disk's or the file's fault can pass; the rest is a bug of ours.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn broken(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DiskFull
            | ErrorCode::ReadOnly
            | ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::CannotOpen
            | ErrorCode::OutOfMemory
            | ErrorCode::OperationInterrupted
            | ErrorCode::PermissionDenied,
        ) => StoreError::Unavailable(error.to_string()),
        _ => StoreError::Bug(error.to_string()),
    }
}
