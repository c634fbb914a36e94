//! A transaction: acquires a connection for its first statement, begins for its first write, and defers writes.

use std::collections::BTreeMap;

use futures::{FutureExt, TryStreamExt, future::BoxFuture};
use sqlx::{
    AssertSqlSafe, Either, Executor,
    postgres::{PgArguments, PgConnection, PgRow},
};
use tokio::time::{Instant, timeout};

use crate::{
    args,
    store::{
        connection::Conn,
        error::StoreError,
        postgres::{
            batch::{Deferred, batches},
            database::Postgres,
            error::{StatementContext, StatementError},
            pool::{GRACE, PooledConnection},
            statement::Statement,
            values,
        },
        row::{Row, Value},
        transaction::Outcome,
        write::Write,
    },
};

/// The result of a statement.
#[derive(Default)]
struct Reply {
    rows: Vec<PgRow>,
    changed: u64,
}

/// The transaction of one job.
///
/// Queries before the first lock or write run outside a database transaction, and again on another connection if one
/// breaks. Writes are deferred and sent with the next query or at the end. Once the database transaction has begun,
/// nothing is sent on another connection: it would run outside of the transaction, without its locks.
pub(super) struct PgTransaction<'d> {
    db: &'d Postgres,
    connection: Option<PooledConnection>,
    started: Instant,
    pub(super) deferred: Vec<Deferred>,
    /// Rows of aggregates that were read ahead.
    pub(super) prefetched: BTreeMap<(&'static str, String), Option<Row>>,
    /// Whether the database transaction has begun, for a lock or a write. With its connection it is lost for good.
    begun: bool,
    /// Whether something was written.
    dirty: bool,
    /// Why the transaction cannot be committed any more.
    failed: Option<StoreError>,
    attempt: u32,
}

/// Runs one query. It must be safe to run twice.
pub(super) async fn query_once(
    db: &Postgres,
    sql: &'static str,
    values: Vec<Value>,
) -> Result<Vec<Row>, StoreError> {
    let mut transaction = PgTransaction::new(db, 0);
    let rows = transaction.query(sql, values).await;
    transaction.end(Outcome::Commit).await?;
    rows
}

impl<'d> PgTransaction<'d> {
    pub(super) fn new(db: &'d Postgres, attempt: u32) -> Self {
        Self {
            db,
            connection: None,
            started: Instant::now(),
            deferred: Vec::new(),
            prefetched: BTreeMap::new(),
            begun: false,
            dirty: false,
            failed: None,
            attempt,
        }
    }

    /// Ends the transaction. Returns whether it has changed anything.
    pub(super) async fn end(mut self, outcome: Outcome) -> Result<bool, StoreError> {
        if outcome == Outcome::Commit && self.failed.is_none() {
            return self.commit().await;
        }
        if self.is_open() {
            // If this fails, the connection is closed, which rolls back too.
            let _ = self.close("ROLLBACK").await;
        }
        match (outcome, self.failed) {
            (Outcome::Commit, Some(error)) => Err(error),
            _ => Ok(false),
        }
    }

    async fn commit(mut self) -> Result<bool, StoreError> {
        let statements = batches(std::mem::take(&mut self.deferred))?;
        let changes = self.dirty || !statements.is_empty();
        if changes {
            self.db.before_commit()?;
        }
        self.commit_statements(statements).await?;
        Ok(changes)
    }

    /// Sends the last statements and commits.
    pub(super) async fn commit_statements(
        mut self,
        mut statements: Vec<Statement>,
    ) -> Result<(), StoreError> {
        if !self.is_open() && !self.db.pooled && statements.len() <= 1 {
            // The statement is its own transaction. If its result is lost, it is unknown whether it was committed.
            if let Some(Statement { sql, args, guarded }) = statements.pop() {
                let context = self.context(guarded);
                let sent = self.send(&sql, Some(args), context).await;
                sent.map_err(|error| error.error)?;
            }
        } else {
            for statement in statements {
                self.send_write(statement).await?;
            }
            if self.is_open() {
                self.close("COMMIT").await?;
            }
        }
        Ok(())
    }

    /// Ends the database transaction.
    async fn close(&mut self, sql: &'static str) -> Result<(), StoreError> {
        let done = self.send(sql, None, StatementContext::default()).await;
        done.map_err(|error| error.error)?;
        self.set_open(false);
        Ok(())
    }

    /// Sends all deferred writes.
    async fn flush(&mut self) -> Result<(), StoreError> {
        for statement in batches(std::mem::take(&mut self.deferred))? {
            self.send_write(statement).await?;
        }
        Ok(())
    }

    /// Sends deferred writes before a query that may read what they write. A cursor alone stays deferred: it is not
    /// queried in the transaction that moves it.
    pub(super) async fn flush_for_query(&mut self) -> Result<(), StoreError> {
        self.check()?;
        let is_cursor = |deferred: &Deferred| matches!(deferred, Deferred::Cursor(_));
        if !self.deferred.iter().all(is_cursor) {
            self.flush().await?;
        }
        Ok(())
    }

    /// Sends deferred writes before a query for an aggregate, and for claims if `claims`, if they may affect its result.
    pub(super) async fn flush_for_aggregate(
        &mut self,
        kind: &str,
        id: &str,
        claims: bool,
    ) -> Result<(), StoreError> {
        self.check()?;
        let affects = |deferred: &Deferred| match deferred {
            Deferred::Change(change) => {
                let has_claims = !change.claimed.is_empty() || change.released.is_some();
                (change.kind == kind && change.id == id) || (claims && has_claims)
            }
            // Read models are in tables of their own.
            Deferred::Cursor(_) | Deferred::Write(..) => false,
        };
        if self.deferred.iter().any(affects) {
            self.flush().await?;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), StoreError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn context(&self, guarded: bool) -> StatementContext {
        StatementContext {
            guarded,
            attempt: self.attempt,
        }
    }

    fn is_open(&self) -> bool {
        self.connection.as_ref().is_some_and(|one| one.open)
    }

    fn set_open(&mut self, open: bool) {
        if let Some(connection) = &mut self.connection {
            connection.open = open;
        }
    }

    /// Begins the database transaction, unless it has begun.
    async fn begin(&mut self) -> Result<(), StoreError> {
        self.check()?;
        if !self.is_open() {
            self.run_query("BEGIN", None).await?;
        }
        self.begun = true;
        Ok(())
    }

    /// Sends a statement that writes, as part of the database transaction.
    async fn send_write(&mut self, statement: Statement) -> Result<u64, StoreError> {
        self.begin().await?;
        self.dirty = true;
        let Statement { sql, args, guarded } = statement;
        let context = self.context(guarded);
        match self.send(&sql, Some(args), context).await {
            Ok(reply) => Ok(reply.changed),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Runs a query, again on another connection if one breaks before the database transaction has begun. Without values
    /// it begins the database transaction.
    async fn run_query(
        &mut self,
        sql: &str,
        values: Option<&[Value]>,
    ) -> Result<Reply, StoreError> {
        loop {
            self.check()?;
            let args = values.map(values::arguments).transpose()?;
            let error = match self.try_query(sql, args).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let again =
                error.is_of_connection() && !self.begun && self.started.elapsed() < self.db.timeout;
            if !again {
                return Err(self.fail(error));
            }
        }
    }

    async fn try_query(
        &mut self,
        sql: &str,
        args: Option<PgArguments>,
    ) -> Result<Reply, StatementError> {
        let (begins, context) = (args.is_none(), self.context(false));
        // A pooler assigns a connection per transaction, and a statement with arguments is sent in two messages.
        if self.db.pooled && !begins && !self.is_open() {
            self.send("BEGIN", None, context).await?;
            self.set_open(true);
        }
        let reply = self.send(sql, args, context).await?;
        if begins {
            self.set_open(true);
        }
        Ok(reply)
    }

    /// Marks the transaction as failed, if there is one.
    fn fail(&mut self, error: StatementError) -> StoreError {
        // What was not committed can be retried from the beginning.
        let lost = matches!(error.error, StoreError::Unavailable(_)) && error.is_of_connection();
        let error = if lost && self.begun && error.kind != "silent" {
            StoreError::Contended
        } else {
            error.error
        };
        if self.is_open() || self.begun {
            self.failed = Some(error.clone());
        }
        error
    }

    /// Sends a statement and waits for its result.
    async fn send(
        &mut self,
        sql: &str,
        args: Option<PgArguments>,
        context: StatementContext,
    ) -> Result<Reply, StatementError> {
        let result = self.send_unrecorded(sql, args, context).await;
        if let Err(error) = &result {
            self.db.record_error(error);
        }
        result
    }

    async fn send_unrecorded(
        &mut self,
        sql: &str,
        args: Option<PgArguments>,
        context: StatementContext,
    ) -> Result<Reply, StatementError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(self.db.pool.acquire().await?),
        };
        self.db.count_round_trip();
        connection.busy = true;
        // Only a statement without arguments begins a transaction.
        connection.open |= args.is_none();
        let result = timeout(
            self.db.timeout + GRACE,
            run(connection, sql, args, !self.db.pooled),
        )
        .await;
        let error = match result {
            Ok(Ok(reply)) => {
                connection.busy = false;
                return Ok(reply);
            }
            Ok(Err(error)) => StatementError::of(error, context),
            Err(_) => StatementError::silent(),
        };
        connection.busy = false;
        if error.broken
            && let Some(broken) = self.connection.take()
        {
            broken.close();
        }
        Err(error)
    }

    /// Acquires a lock that other transactions wait for, until the end of this one.
    pub(super) async fn acquire_lock(&mut self, name: &str) -> Result<(), StoreError> {
        self.begin().await?;
        let sql = "SELECT 1 FROM pg_advisory_xact_lock(hashtextextended(current_schema() || '/' || $1, 1))";
        self.query(sql, args![name]).await?;
        Ok(())
    }

    /// Queries rows without sending deferred writes first.
    pub(super) async fn rows(
        &mut self,
        sql: &str,
        args: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let reply = self.run_query(sql, Some(&args)).await?;
        reply.rows.iter().map(values::row).collect()
    }
}

/// Sends a statement and reads its result until the server is ready for the next one.
async fn run(
    connection: &mut PgConnection,
    sql: &str,
    args: Option<PgArguments>,
    persistent: bool,
) -> Result<Reply, sqlx::Error> {
    let sql = AssertSqlSafe(sql);
    let mut results = match args {
        Some(args) => connection.fetch_many(sqlx::query_with(sql, args).persistent(persistent)),
        None => connection.fetch_many(sqlx::raw_sql(sql)),
    };
    let mut reply = Reply::default();
    while let Some(result) = results.try_next().await? {
        match result {
            Either::Left(done) => reply.changed += done.rows_affected(),
            Either::Right(row) => reply.rows.push(row),
        }
    }
    Ok(reply)
}

impl Conn for PgTransaction<'_> {
    fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        args: Vec<Value>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        async move {
            self.flush_for_query().await?;
            let statement = Statement {
                sql: sql.to_owned(),
                args: values::arguments(&args)?,
                guarded: false,
            };
            self.send_write(statement).await
        }
        .boxed()
    }

    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        args: Vec<Value>,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        async move {
            self.flush_for_query().await?;
            self.rows(sql, args).await
        }
        .boxed()
    }

    fn write<'a>(
        &'a mut self,
        write: &'static Write,
        args: Vec<Value>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.deferred.push(Deferred::Write(write, args));
        std::future::ready(Ok(())).boxed()
    }
}
