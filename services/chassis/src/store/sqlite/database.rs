//! A SQLite database: one file, its writer and its readers.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use berth::inspection::v1::StoreEngine;
use futures::{FutureExt, future::BoxFuture};
use rusqlite::{Connection, OpenFlags, config::DbConfig};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    base::{faults::Faults, private_files},
    store::{
        backend::Backend,
        connection::StoreFuture,
        error::StoreError,
        sqlite::{
            connection::{SqliteConnection, awaited, store_error},
            digest,
            schema::TABLES,
            writer::{Queued, Writer},
        },
        transaction::{Job, Query},
    },
};

/// The most jobs that wait in the writer's queue. Further callers wait to enter it.
const QUEUE: usize = 4096;

/// One database file.
#[derive(Debug)]
pub(crate) struct Sqlite {
    path: PathBuf,
    // Dropped before the writer, so that the writer's connection is the last and checkpoints the log.
    readers: Mutex<Vec<SqliteConnection>>,
    queue: mpsc::Sender<Queued>,
    commits: watch::Receiver<u64>,
    failing: Arc<AtomicBool>,
}

impl Sqlite {
    /// Opens the file, creates the tables, and starts the writer.
    pub(crate) fn open(path: &Path, faults: Faults) -> Result<Self, StoreError> {
        keep_private(path).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let connection = connect(
            path,
            OpenFlags::default(),
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000; PRAGMA foreign_keys=ON;
                 PRAGMA cache_size=-16384; PRAGMA wal_autocheckpoint=4000; PRAGMA temp_store=MEMORY;",
        )
        .map_err(store_error)?;
        digest::register(&connection).map_err(store_error)?;
        connection.execute_batch(TABLES).map_err(store_error)?;
        connection.set_prepared_statement_cache_capacity(128);

        let (queue, jobs) = mpsc::channel(QUEUE);
        let name = path
            .file_stem()
            .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let writer = Writer::new(connection, faults);
        let (commits, failing) = (writer.commits(), writer.failing());
        std::thread::Builder::new()
            .name(format!("writer-{name}"))
            .spawn(move || writer.run(jobs))
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            queue,
            readers: Mutex::default(),
            commits,
            failing,
        })
    }

    fn reader(&self) -> Result<SqliteConnection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let pragmas =
            "PRAGMA busy_timeout=5000; PRAGMA cache_size=-4096; PRAGMA mmap_size=1073741824;";
        let connection = connect(&self.path, flags, pragmas).map_err(store_error)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection.into())
    }

    fn readers(&self) -> MutexGuard<'_, Vec<SqliteConnection>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a connection.
fn connect(path: &Path, flags: OpenFlags, pragmas: &str) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    // Otherwise a statement whose `LIMIT` is a parameter is parsed and planned again at every execution.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.execute_batch(pragmas)?;
    Ok(connection)
}

/// Creates the file for its owner only, if it is new; SQLite gives the files beside it the same mode. Refuses files that others
/// may use.
fn keep_private(path: &Path) -> io::Result<()> {
    private_files::create_if_missing(path)?;
    for end in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(end);
        private_files::check(Path::new(&file))?;
    }
    Ok(())
}

impl Backend for Sqlite {
    fn kind(&self) -> StoreEngine {
        StoreEngine::Sqlite
    }

    fn write(&self, job: Job, _attempt: u32) -> StoreFuture<'_, ()> {
        async move {
            let (reply, result) = oneshot::channel();
            let stopped = || StoreError::Unavailable("the writer has stopped".into());
            let sent = self.queue.send((job, reply)).await;
            sent.map_err(|_| stopped())?;
            result.await.map_err(|_| stopped())?
        }
        .boxed()
    }

    /// Runs on this thread: everything the job awaits is ready at once.
    fn read(&self, query: Query) -> StoreFuture<'_, ()> {
        async move {
            let idle = self.readers().pop();
            let mut reader = match idle {
                Some(reader) => reader,
                None => self.reader()?,
            };
            let done = query(&mut reader).now_or_never();
            self.readers().push(reader);
            done.ok_or_else(awaited)
        }
        .boxed()
    }

    fn commits(&self) -> watch::Receiver<u64> {
        self.commits.clone()
    }

    fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// The writer stops when the disk fails to sync.
    fn stopped(&self) -> BoxFuture<'_, ()> {
        self.queue.closed().boxed()
    }
}
