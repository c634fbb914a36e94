//! A unit of work: one transaction on one store.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{
    base::time::Timestamp,
    domain::{
        aggregate::{Aggregate, ClaimRange, Claims, Now, Versioned},
        consumer_name::ConsumerName,
        digest::LogDigest,
        event::{Cause, Publish, Recorded, event_id},
        log_id::LogId,
        position::{Cursor, Position},
    },
    store::{
        aggregates::{self, versioned},
        claims,
        connection::Conn,
        cursor,
        dead_letters::{self, DeadLetter},
        error::{ExecuteError, StoreError},
        log,
        projections::{ProjectionError, Views},
        recoveries::{self, Recovery},
        transaction::{AggregateChange, Batch, Transaction, owner},
        write_fence,
    },
};

/// The result of a command.
#[derive(Clone, Debug)]
pub struct Done<A: Aggregate> {
    /// The aggregate after it.
    pub now: Versioned<A>,
    /// The events that it caused; none if it was a repeat.
    pub events: Vec<A::Event>,
}

/// The ids of aggregates, by kind.
pub(crate) type Subjects = BTreeMap<&'static str, BTreeSet<String>>;

/// One transaction. Code that uses it must await nothing else.
pub struct UnitOfWork<'c> {
    conn: &'c mut dyn Transaction,
    context: &'static str,
    at: Timestamp,
    views: &'c Views,
}

impl fmt::Debug for UnitOfWork<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnitOfWork")
            .field("context", &self.context)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl<'c> UnitOfWork<'c> {
    pub(crate) fn new(
        conn: &'c mut dyn Transaction,
        context: &'static str,
        at: Timestamp,
        views: &'c Views,
    ) -> Self {
        Self {
            conn,
            context,
            at,
            views,
        }
    }

    /// The connection, for read models.
    pub fn conn(&mut self) -> &mut dyn Conn {
        self.conn
    }

    /// When the transaction began.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The name of the context.
    pub fn context(&self) -> &'static str {
        self.context
    }

    /// Executes a command as part of this transaction; see [`crate::Store::execute`].
    pub async fn execute<A: Publish>(
        &mut self,
        id: A::Id,
        command: &A::Command,
        cause: &Cause,
    ) -> Result<Done<A>, ExecuteError<A::Refusal>> {
        let subject = id.to_string();
        let ranges = A::claim_ranges(None, command);
        let found = self.conn.find(A::KIND, &subject, &ranges).await?;
        let before: Option<Versioned<A>> = found.row.map(|row| versioned(&row, 0)).transpose()?;
        let state = before.as_ref().map(|before| &before.state);
        let now = match (state, found.held) {
            (None, Some(held)) => self.now(&ranges, held),
            (state, _) => {
                let ranges = A::claim_ranges(state, command);
                let owner = owner(A::KIND, &subject);
                let held = if ranges.is_empty() {
                    Vec::new()
                } else {
                    self.conn.held_by_others(&ranges, &owner).await?
                };
                self.now(&ranges, held)
            }
        };
        let events = A::decide(state, command, &now).map_err(ExecuteError::Refused)?;
        let claims = state.map(Aggregate::claims).unwrap_or_default();
        let expected = before.as_ref().map_or(0, |before| before.version);

        let mut after = before;
        let mut recorded = Vec::new();
        for event in &events {
            let next = self.evolve(after, event)?;
            self.record::<A>(id, event, &next, cause, &mut recorded);
            after = Some(next);
        }
        let Some(after) = after else {
            let bug = format!("the command created no {} and changed none", A::KIND);
            return Err(StoreError::Bug(bug).into());
        };
        if !events.is_empty() {
            self.save(subject, &after, expected, &claims, recorded)
                .await?;
        }
        Ok(Done { now: after, events })
    }

    fn now(&self, ranges: &[ClaimRange], held: Vec<Vec<String>>) -> Now {
        let mut now = Now::at(self.at);
        for (range, keys) in ranges.iter().zip(held) {
            for key in keys {
                now = now.with_held(range.scope.as_str(), key);
            }
        }
        now
    }

    fn evolve<A: Aggregate>(
        &self,
        before: Option<Versioned<A>>,
        event: &A::Event,
    ) -> Result<Versioned<A>, StoreError> {
        let (version, created, updated) = before.as_ref().map_or((0, self.at, self.at), |before| {
            (before.version, before.created, before.updated)
        });
        let state = A::evolve(before.map(|before| before.state), event)
            .ok_or_else(|| StoreError::Bug(format!("{} cannot evolve by {event:?}", A::KIND)))?;
        Ok(Versioned {
            state,
            version: version + 1,
            created,
            // Times of one aggregate never decrease, even if the clock was set back.
            updated: updated.max(self.at),
        })
    }

    /// Adds the facts that an event publishes.
    fn record<A: Publish>(
        &self,
        id: A::Id,
        event: &A::Event,
        after: &Versioned<A>,
        cause: &Cause,
        recorded: &mut Vec<Recorded>,
    ) {
        let subject = id.to_string();
        for (index, fact) in A::facts(id, event, after).into_iter().enumerate() {
            let mut cause = cause.clone();
            if !fact.correlation.is_empty() {
                cause.correlation = fact.correlation;
            }
            recorded.push(Recorded {
                producer: self.context.to_owned(),
                seq: 0,
                digest: LogDigest::default(),
                id: event_id(self.context, A::KIND, &subject, after.version, index),
                event_type: fact.event_type,
                subject: subject.clone(),
                version: after.version,
                at: after.updated,
                data: fact.data,
                cause,
            });
        }
    }

    /// Saves an aggregate with its claims and events, and applies the events to the context's own read models.
    pub(crate) async fn save<A: Aggregate>(
        &mut self,
        subject: String,
        after: &Versioned<A>,
        expected_version: i64,
        before: &Claims,
        events: Vec<Recorded>,
    ) -> Result<(), StoreError> {
        let claims = after.state.claims();
        let owned = |(scope, key): (&str, &str)| (scope.to_owned(), key.to_owned());
        let change = AggregateChange {
            kind: A::KIND,
            id: subject,
            expected_version,
            version: after.version,
            state: serde_json::to_string(&after.state)
                .map_err(|error| StoreError::Bug(error.to_string()))?,
            due: after.state.due(),
            at: after.updated,
            released: (before.minus(&claims).next().is_some())
                .then(|| before.common(&claims).map(owned).collect()),
            claimed: claims.minus(before).map(owned).collect(),
            events: events.clone(),
        };
        self.conn.save(change).await?;
        for event in &events {
            self.project(event).await?;
        }
        Ok(())
    }

    /// Applies an event to the context's own read models.
    async fn project(&mut self, event: &Recorded) -> Result<(), StoreError> {
        let projected = self.views.show(self.conn, event).await;
        projected.map_err(|error| match error {
            ProjectionError::Store(error) => error,
            error => StoreError::Bug(error.to_string()),
        })
    }

    /// Inserts a lost event into the log with the sequence number and digest that it has, and applies it to the context's
    /// own read models.
    pub async fn put_back(&mut self, event: &Recorded) -> Result<(), StoreError> {
        log::insert(self.conn, event).await?;
        self.project(event).await
    }

    /// Removes the events after a sequence number from the log and returns them.
    pub async fn take_after(&mut self, seq: i64) -> Result<Vec<Recorded>, StoreError> {
        log::take_after(self.conn, self.context, seq).await
    }

    /// Inserts an event that was on the log before.
    pub async fn insert_again(&mut self, event: &Recorded) -> Result<(), StoreError> {
        log::insert(self.conn, event).await
    }

    /// Records a recovery of the log, and the digests of the events whose sequence numbers changed.
    pub async fn record_recovery(
        &mut self,
        recovery: &Recovery,
        abandoned: &[(i64, LogDigest)],
    ) -> Result<(), StoreError> {
        recoveries::put(self.conn, recovery, abandoned).await
    }

    /// Whether events of this context were lost for good and replaced by placeholders.
    pub(crate) async fn has_losses(&mut self) -> Result<bool, StoreError> {
        log::has_losses(self.conn).await
    }

    /// The high-water mark of the log.
    pub async fn high_water_mark(&mut self) -> Result<Position, StoreError> {
        log::high_water_mark(self.conn).await
    }

    /// Removes the write fence.
    pub async fn lift_fence(&mut self) -> Result<(), StoreError> {
        write_fence::remove(self.conn).await
    }

    /// The holder of a claim, as `<kind>/<id>`.
    pub(crate) async fn holder_of(
        &mut self,
        scope: &str,
        key: &str,
    ) -> Result<Option<String>, StoreError> {
        claims::holder(self.conn, scope, key).await
    }

    /// One aggregate, as this transaction sees it.
    pub async fn load<A: Aggregate>(
        &mut self,
        id: A::Id,
    ) -> Result<Option<Versioned<A>>, StoreError> {
        let row = aggregates::load(self.conn, A::KIND, &id.to_string()).await?;
        row.map(|row| versioned(&row, 0)).transpose()
    }

    /// Announces the aggregates that will get commands, so that they can be read at once.
    pub(crate) async fn look_ahead(&mut self, subjects: Subjects) -> Result<(), StoreError> {
        for (kind, ids) in subjects {
            let ids: Vec<String> = ids.into_iter().collect();
            self.conn.prefetch(kind, &ids).await?;
        }
        Ok(())
    }

    /// Locks the read models that a consumer writes, until this transaction ends: its batches and retries wait.
    pub async fn lock_views(&mut self, consumer: &ConsumerName) -> Result<(), StoreError> {
        self.conn.lock(consumer.as_str()).await
    }

    pub(crate) async fn advance(
        &mut self,
        batch: Batch<'_>,
    ) -> Result<Option<Vec<String>>, StoreError> {
        self.conn.advance(batch).await
    }

    /// A consumer's cursor on a producer's log. It is locked until this transaction ends.
    pub async fn hold_cursor(
        &mut self,
        consumer: &ConsumerName,
        log: &LogId,
    ) -> Result<Cursor, StoreError> {
        let cursor = cursor::read(self.conn, consumer, log).await?;
        let key = (consumer, log);
        if cursor::advance(self.conn, key, cursor.at.seq, cursor.at).await? {
            Ok(cursor)
        } else {
            Err(StoreError::Contended)
        }
    }

    /// Sets a consumer's cursor to where it continues after a recovery of the log.
    pub(crate) async fn resume(
        &mut self,
        consumer: &ConsumerName,
        log: &LogId,
        from: i64,
        cursor: Cursor,
    ) -> Result<(), StoreError> {
        let key = (consumer, log);
        if cursor::resume(self.conn, key, from, cursor).await? {
            Ok(())
        } else {
            Err(StoreError::Contended)
        }
    }

    /// Removes a consumer's cursors and dead letters.
    pub async fn forget(&mut self, consumer: &ConsumerName) -> Result<(), StoreError> {
        cursor::remove_consumer(self.conn, consumer).await
    }

    /// Replaces the cursors and dead letters of `other` by those of `consumer`.
    pub async fn replace(
        &mut self,
        other: &ConsumerName,
        consumer: &ConsumerName,
    ) -> Result<(), StoreError> {
        cursor::remove_consumer(self.conn, other).await?;
        cursor::rename_consumer(self.conn, consumer, other).await
    }

    pub(crate) async fn put_letter(&mut self, letter: &DeadLetter) -> Result<(), StoreError> {
        dead_letters::put(self.conn, letter).await
    }

    pub(crate) async fn remove_letter(&mut self, letter: &DeadLetter) -> Result<bool, StoreError> {
        dead_letters::remove(self.conn, letter).await
    }

    pub(crate) async fn update_letter(&mut self, letter: &DeadLetter) -> Result<bool, StoreError> {
        dead_letters::update(self.conn, letter).await
    }
}
