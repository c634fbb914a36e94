//! What the chassis itself does on a connection, as operations: each engine finds its own way to few round trips.

use futures::{FutureExt, future::BoxFuture};

use crate::store::{
    StoreError,
    connection::{Conn, Row},
};
use crate::{
    base::time::Timestamp,
    domain::{aggregate::ClaimRange, event::Recorded},
};

/// What a job wants done with what it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Keep it.
    Commit,
    /// Undo it.
    Rollback,
}

/// Work on a connection, type-erased: the answer is left where the asker finds it.
pub(crate) type Job = Box<dyn for<'c> Fn(&'c mut dyn Work) -> BoxFuture<'c, Outcome> + Send + Sync>;

/// A job that only reads; it runs once.
pub(crate) type Query =
    Box<dyn for<'c> FnOnce(&'c mut dyn Conn) -> BoxFuture<'c, ()> + Send + 'static>;

/// An answer of the store.
pub(crate) type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// A step of an aggregate, to be saved as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) kind: &'static str,
    pub(crate) id: String,
    /// The version it was decided on; 0 if there was none.
    pub(crate) from: i64,
    pub(crate) version: i64,
    pub(crate) state: String,
    pub(crate) due: Option<Timestamp>,
    pub(crate) at: Timestamp,
    /// Scopes and keys that are held no more.
    pub(crate) released: Vec<(String, String)>,
    /// Scopes and keys that are held from now on.
    pub(crate) claimed: Vec<(String, String)>,
    /// What the world is told.
    pub(crate) told: Vec<Recorded>,
}

impl Step {
    /// How the aggregate is called where it holds claims.
    pub(crate) fn owner(&self) -> String {
        owner(self.kind, &self.id)
    }
}

/// How an aggregate is called where it holds claims.
pub(crate) fn owner(kind: &str, id: &str) -> String {
    format!("{kind}/{id}")
}

/// An aggregate's row, and what was found where a command wants to look if it was looked at in the same breath: for each
/// look the keys that others hold.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) row: Option<Row>,
    pub(crate) taken: Option<Vec<Vec<String>>>,
}

/// The batch a consumer takes: its cursor moves from one place to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch<'a> {
    pub(crate) consumer: &'a str,
    pub(crate) producer: &'a str,
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Whether its effects may not meet those of the consumer's other batches before they are committed.
    pub(crate) alone: bool,
}

/// Where a part of a transaction begins that may be undone alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Savepoint {
    Set,
    /// Undoes what was done since.
    Back,
    /// Keeps what was done since, and ends it.
    Release,
}

/// A connection, as the chassis uses it.
pub(crate) trait Work: Conn {
    /// The row of an aggregate. If there is none, or if it costs nothing, the looks are looked at too.
    fn find<'a>(
        &'a mut self,
        kind: &'static str,
        id: &'a str,
        looks: &'a [ClaimRange],
    ) -> Answer<'a, Found>;

    /// Aggregates of a kind will be looked for, each once at first. An engine may fetch them all now.
    fn look_ahead<'a>(&'a mut self, _kind: &'static str, _ids: &'a [String]) -> Answer<'a, ()> {
        std::future::ready(Ok(())).boxed()
    }

    /// For each look the keys that somebody other than `owner` holds.
    fn taken<'a>(
        &'a mut self,
        looks: &'a [ClaimRange],
        owner: &'a str,
    ) -> Answer<'a, Vec<Vec<String>>>;

    /// Saves a step. It is contended if the version or a claim is not as it was believed to be; an engine may say so only
    /// when the transaction ends.
    fn save(&mut self, step: Step) -> Answer<'_, ()>;

    /// Moves a consumer's cursor, and answers the aggregates that have dead letters with it; none if the cursor is
    /// elsewhere.
    fn advance<'a>(&'a mut self, batch: Batch<'a>) -> Answer<'a, Option<Vec<String>>>;

    /// Begins or ends a part of the transaction.
    fn savepoint(&mut self, point: Savepoint) -> Answer<'_, ()>;
}
