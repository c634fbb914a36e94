//! A job's connection: borrowed when the first statement is sent, with writes that wait until somebody must know.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{FutureExt, TryStreamExt, future::BoxFuture};
use sqlx::{
    AssertSqlSafe, Either, Executor,
    postgres::{PgArguments, PgConnection, PgRow},
};
use tokio::time::{Instant, timeout};

use crate::store::postgres::{
    Postgres,
    fault::{Fault, Sent},
    plan::{Pending, plan},
    pool::Lent,
    wire,
    with::Statement,
};
use crate::{
    args,
    store::{
        Row, StoreError, Value,
        connection::Conn,
        work::{Outcome, Savepoint},
    },
};

/// The server gives up on a statement before its caller does.
const GRACE: Duration = Duration::from_millis(500);

/// What came back.
#[derive(Default)]
struct Reply {
    rows: Vec<PgRow>,
    changed: u64,
}

/// The connection of one job.
///
/// What is asked before anything was written is asked outside a transaction, and again on another connection if one
/// breaks. What is written waits, and is sent with the next question or when the job ends.
pub(super) struct Pg {
    db: Arc<Postgres>,
    lent: Option<Lent>,
    began: Instant,
    pending: Vec<Pending>,
    /// Rows of aggregates that were fetched before they were asked for.
    pub(super) ahead: BTreeMap<(&'static str, String), Option<Row>>,
    /// Whether something was written, or locked, that would be lost with the connection.
    written: bool,
    /// Why the transaction cannot be committed any more.
    failed: Option<StoreError>,
    attempt: u32,
}

impl Pg {
    pub(super) fn new(db: Arc<Postgres>, attempt: u32) -> Self {
        Self {
            db,
            lent: None,
            began: Instant::now(),
            pending: Vec::new(),
            ahead: BTreeMap::new(),
            written: false,
            failed: None,
            attempt,
        }
    }

    /// Ends the job as it wishes. Answers whether it changed anything.
    pub(super) async fn end(mut self, outcome: Outcome) -> Result<bool, StoreError> {
        if outcome == Outcome::Commit && self.failed.is_none() {
            return self.commit().await;
        }
        if self.is_open() {
            // If even this fails the connection is closed, which says the same.
            let _ = self.close("ROLLBACK").await;
        }
        match (outcome, self.failed) {
            (Outcome::Commit, Some(error)) => Err(error),
            _ => Ok(false),
        }
    }

    async fn commit(mut self) -> Result<bool, StoreError> {
        let mut statements = plan(std::mem::take(&mut self.pending))?;
        let changes = self.written || !statements.is_empty();
        if changes {
            self.db.before_commit()?;
        }
        let open = self.is_open();
        if !open && !self.db.pooled && statements.len() <= 1 {
            // The statement is its own transaction.
            if let Some(statement) = statements.pop() {
                self.send_last(statement).await?;
            }
        } else {
            for statement in statements {
                self.send_written(statement).await?;
            }
            if self.is_open() {
                self.close("COMMIT").await?;
            }
        }
        Ok(changes)
    }

    /// Runs statements that begin and end their own transaction.
    pub(super) async fn run_alone(mut self, sql: &str) -> Result<(), StoreError> {
        let done = self.send(sql, None, Sent::default()).await;
        if done.is_err()
            && let Some(lent) = &mut self.lent
        {
            // Who knows how far it came.
            lent.open = true;
        }
        done.map(|_| ()).map_err(|fault| fault.error)
    }

    /// Ends the transaction.
    async fn close(&mut self, sql: &'static str) -> Result<(), StoreError> {
        self.send(sql, None, Sent::default())
            .await
            .map_err(|fault| fault.error)?;
        if let Some(lent) = &mut self.lent {
            lent.open = false;
        }
        Ok(())
    }

    /// Sends what waits.
    async fn flush(&mut self) -> Result<(), StoreError> {
        for statement in plan(std::mem::take(&mut self.pending))? {
            self.send_written(statement).await?;
        }
        Ok(())
    }

    /// Sends what was written before the question that follows. Nobody asks where a cursor is that is on its way.
    pub(super) async fn settle(&mut self) -> Result<(), StoreError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let waits = |pending: &Pending| !matches!(pending, Pending::Cursor(_));
        if self.pending.iter().any(waits) {
            self.flush().await?;
        }
        Ok(())
    }

    /// As [`Pg::settle`], if what waits may matter to whoever asks for an aggregate, and for claims if it looks at some.
    pub(super) async fn settle_for(
        &mut self,
        kind: &str,
        id: &str,
        looks: bool,
    ) -> Result<(), StoreError> {
        let matters = |pending: &Pending| match pending {
            Pending::Step(step) => {
                let claims = !step.claimed.is_empty() || !step.released.is_empty();
                (step.kind == kind && step.id == id) || (looks && claims)
            }
            // Read models are tables of their own.
            Pending::Cursor(_) | Pending::Write(..) => false,
        };
        if self.failed.is_some() || self.pending.iter().any(matters) {
            self.settle().await?;
        }
        Ok(())
    }

    fn is_open(&self) -> bool {
        self.lent.as_ref().is_some_and(|lent| lent.open)
    }

    /// Begins the transaction, unless it has begun.
    async fn begin(&mut self) -> Result<(), StoreError> {
        if self.is_open() {
            return Ok(());
        }
        self.ask("BEGIN", None).await?;
        Ok(())
    }

    /// Sends a statement as the whole transaction. If the answer is lost nobody knows what became of it.
    async fn send_last(&mut self, statement: Statement) -> Result<(), StoreError> {
        let Statement { sql, args, guarded } = statement;
        let sent = Sent {
            guarded,
            attempt: self.attempt,
        };
        let done = self.send(&sql, Some(args), sent).await;
        done.map(|_| ()).map_err(|fault| fault.error)
    }

    /// Sends a statement as part of the transaction.
    async fn send_written(&mut self, statement: Statement) -> Result<u64, StoreError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.begin().await?;
        self.written = true;
        let Statement { sql, args, guarded } = statement;
        let sent = Sent {
            guarded,
            attempt: self.attempt,
        };
        match self.send(&sql, Some(args), sent).await {
            Ok(reply) => Ok(reply.changed),
            Err(fault) => Err(self.fail(fault)),
        }
    }

    /// Asks something, again on another connection if one breaks and nothing is lost with it. What has no values begins a
    /// transaction.
    async fn ask(&mut self, sql: &str, values: Option<&[Value]>) -> Result<Reply, StoreError> {
        let sent = Sent {
            attempt: self.attempt,
            ..Sent::default()
        };
        loop {
            let args = values.map(wire::arguments).transpose()?;
            let fault = match self.ask_once(sql, args, sent).await {
                Ok(reply) => return Ok(reply),
                Err(fault) => fault,
            };
            let again = fault.broken && !self.written && self.began.elapsed() < self.db.timeout;
            if !again {
                return Err(self.fail(fault));
            }
        }
    }

    async fn ask_once(
        &mut self,
        sql: &str,
        args: Option<PgArguments>,
        sent: Sent,
    ) -> Result<Reply, Fault> {
        let begins = args.is_none();
        // A pooler lends a connection for a transaction, and a statement is sent in two parts.
        if self.db.pooled && !begins && !self.is_open() {
            self.send("BEGIN", None, sent).await?;
            self.open();
        }
        let reply = self.send(sql, args, sent).await?;
        if begins {
            self.open();
        }
        Ok(reply)
    }

    fn open(&mut self) {
        if let Some(lent) = &mut self.lent {
            lent.open = true;
        }
    }

    /// Notes that the transaction is spoilt, if there is one.
    fn fail(&mut self, fault: Fault) -> StoreError {
        let error = match fault {
            // It was not committed, and can be tried from the beginning.
            Fault {
                error: StoreError::Unavailable(_),
                broken: true,
                kind,
            } if self.written && kind != "silent" => StoreError::Contended,
            Fault { error, .. } => error,
        };
        let open = self.is_open();
        if open || self.written {
            self.failed = Some(error.clone());
        }
        error
    }

    /// Sends a statement and waits for the answer.
    async fn send(
        &mut self,
        sql: &str,
        args: Option<PgArguments>,
        sent: Sent,
    ) -> Result<Reply, Fault> {
        let sent = self.send_unnoted(sql, args, sent).await;
        if let Err(fault) = &sent {
            self.db.note(fault);
        }
        sent
    }

    async fn send_unnoted(
        &mut self,
        sql: &str,
        args: Option<PgArguments>,
        sent: Sent,
    ) -> Result<Reply, Fault> {
        let lent = match &mut self.lent {
            Some(lent) => lent,
            None => self.lent.insert(self.db.pool.lend().await?),
        };
        self.db.count();
        lent.busy = true;
        let answer = timeout(
            self.db.timeout + GRACE,
            run(lent, sql, args, !self.db.pooled),
        )
        .await;
        let fault = match answer {
            Ok(Ok(reply)) => {
                lent.busy = false;
                return Ok(reply);
            }
            Ok(Err(error)) => Fault::of(error, sent),
            Err(_) => Fault::silent(),
        };
        if fault.broken {
            self.lent = None;
            self.db.pool.distrust();
        } else {
            lent.busy = false;
        }
        Err(fault)
    }
}

impl Pg {
    /// Waits until nobody else works under a name, until the end of the transaction.
    pub(super) async fn lock(&mut self, name: &str) -> Result<(), StoreError> {
        self.begin().await?;
        let sql = "SELECT 1 FROM pg_advisory_xact_lock(hashtextextended(current_schema() || '/' || $1, 1))";
        self.query(sql, args![name]).await?;
        self.written = true;
        Ok(())
    }

    /// Begins or ends a part of the transaction.
    pub(super) async fn mark(&mut self, point: Savepoint) -> Result<(), StoreError> {
        if point == Savepoint::Back {
            self.pending.clear();
            self.ahead.clear();
            self.failed = None;
        } else if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.flush().await?;
        self.begin().await?;
        self.written = true;
        let sql = match point {
            Savepoint::Set => "SAVEPOINT effect",
            Savepoint::Back => "ROLLBACK TO effect",
            Savepoint::Release => "RELEASE effect",
        };
        match self.send(sql, None, Sent::default()).await {
            Ok(_) => Ok(()),
            Err(fault) => Err(self.fail(fault)),
        }
    }

    /// Asks for rows, whatever waits.
    pub(super) async fn rows(
        &mut self,
        sql: &str,
        args: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let reply = self.ask(sql, Some(&args)).await?;
        reply.rows.iter().map(wire::row).collect()
    }

    /// Something is sent later.
    pub(super) fn wait(&mut self, pending: Pending) {
        self.pending.push(pending);
    }
}

/// Sends a statement and reads everything that comes back: it is done when the server is ready for the next.
async fn run(
    connection: &mut PgConnection,
    sql: &str,
    args: Option<PgArguments>,
    persistent: bool,
) -> Result<Reply, sqlx::Error> {
    let sql = AssertSqlSafe(sql);
    let mut answers = match args {
        Some(args) => connection.fetch_many(sqlx::query_with(sql, args).persistent(persistent)),
        None => connection.fetch_many(sqlx::raw_sql(sql)),
    };
    let mut reply = Reply::default();
    while let Some(answer) = answers.try_next().await? {
        match answer {
            Either::Left(done) => reply.changed += done.rows_affected(),
            Either::Right(row) => reply.rows.push(row),
        }
    }
    Ok(reply)
}

impl Conn for Pg {
    fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        args: Vec<Value>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        async move {
            self.settle().await?;
            let args = wire::arguments(&args)?;
            let sql = sql.to_owned();
            let guarded = false;
            self.send_written(Statement { sql, args, guarded }).await
        }
        .boxed()
    }

    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        args: Vec<Value>,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        async move {
            self.settle().await?;
            self.rows(sql, args).await
        }
        .boxed()
    }

    fn write<'a>(
        &'a mut self,
        sql: &'a str,
        args: Vec<Value>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.pending.push(Pending::Write(sql.to_owned(), args));
        std::future::ready(Ok(())).boxed()
    }
}
