//! What the store does within a transaction, as operations: each database finds its own way to few round trips.

use futures::{FutureExt, future::BoxFuture};

use crate::{
    base::time::Timestamp,
    domain::{
        aggregate::ClaimRange, consumer_name::ConsumerName, event::Recorded, log_id::LogId,
        position::Position,
    },
    store::{
        connection::{Conn, StoreFuture},
        row::Row,
    },
};

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Commit,
    Rollback,
}

/// A function that runs in a transaction, possibly several times. It stores its result where the caller finds it.
pub(crate) type Job =
    Box<dyn for<'c> Fn(&'c mut dyn Transaction) -> BoxFuture<'c, Outcome> + Send + Sync>;

/// A function that only reads. It runs once.
pub(crate) type Query =
    Box<dyn for<'c> FnOnce(&'c mut dyn Conn) -> BoxFuture<'c, ()> + Send + 'static>;

/// A change of one aggregate: its state, claims and events are saved together.
#[derive(Clone, Debug)]
pub(crate) struct AggregateChange {
    pub(crate) kind: &'static str,
    pub(crate) id: String,
    /// The version that the decision was based on; 0 if there was none.
    pub(crate) expected_version: i64,
    pub(crate) version: i64,
    pub(crate) state: String,
    pub(crate) due: Option<Timestamp>,
    pub(crate) at: Timestamp,
    /// If claims are to be deleted: the scopes and keys of those that stay. All others of the aggregate are deleted, also
    /// ones of an old format.
    pub(crate) released: Option<Vec<(String, String)>>,
    /// Scopes and keys of claims to insert.
    pub(crate) claimed: Vec<(String, String)>,
    /// Events to append to the log.
    pub(crate) events: Vec<Recorded>,
}

impl AggregateChange {
    /// The owner of its claims.
    pub(crate) fn owner(&self) -> String {
        owner(self.kind, &self.id)
    }
}

/// The name of an aggregate as an owner of claims.
pub(crate) fn owner(kind: &str, id: &str) -> String {
    format!("{kind}/{id}")
}

/// The result of a search for an aggregate.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) row: Option<Row>,
    /// The held keys of each claim range, if they were queried too.
    pub(crate) held: Option<Vec<Vec<String>>>,
}

/// The batch that a consumer applies: its cursor moves from a sequence number to a position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch<'a> {
    pub(crate) consumer: &'a ConsumerName,
    pub(crate) producer: &'a LogId,
    pub(crate) from: i64,
    pub(crate) to: Position,
    /// The aggregates that it is about.
    pub(crate) subjects: &'a [&'a str],
}

/// A transaction of the store.
pub(crate) trait Transaction: Conn {
    /// Reads an aggregate. If it does not exist, or at no extra cost, the held keys of the claim ranges are read too.
    fn find<'a>(
        &'a mut self,
        kind: &'static str,
        id: &'a str,
        ranges: &'a [ClaimRange],
    ) -> StoreFuture<'a, Found>;

    /// Announces the aggregates of a kind that [`Transaction::find`] will be asked for, so that they can be read at once.
    fn prefetch<'a>(&'a mut self, _kind: &'static str, _ids: &'a [String]) -> StoreFuture<'a, ()> {
        std::future::ready(Ok(())).boxed()
    }

    /// For each range, the keys held by aggregates other than `owner`.
    fn held_by_others<'a>(
        &'a mut self,
        ranges: &'a [ClaimRange],
        owner: &'a str,
    ) -> StoreFuture<'a, Vec<Vec<String>>>;

    /// Saves a change. It fails with `Contended` if the version has changed or a claim is held, now or at the end of the
    /// transaction.
    fn save(&mut self, change: AggregateChange) -> StoreFuture<'_, ()>;

    /// Acquires a lock until the transaction ends. An embedded database needs none: it has a single writer.
    fn lock<'a>(&'a mut self, _name: &'a str) -> StoreFuture<'a, ()> {
        std::future::ready(Ok(())).boxed()
    }

    /// Moves a consumer's cursor and returns which aggregates of the batch have dead letters; none if the cursor is not
    /// at `batch.from`.
    fn advance<'a>(&'a mut self, batch: Batch<'a>) -> StoreFuture<'a, Option<Vec<String>>>;
}
