//! A unit of work: one transaction on one store.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{
    base::time::Timestamp,
    domain::{
        aggregate::{Aggregate, ClaimRange, Claims, Now, Versioned},
        event::{Cause, Publish, Recorded, event_id},
        log_id::LogId,
    },
    store::{
        Conn, DeadLetter, ExecuteError, Inner, Row, StoreError,
        projections::ProjectionError,
        sql, work,
        work::{Batch, Savepoint, Step, Work},
    },
};

/// What came of a command.
#[derive(Clone, Debug)]
pub struct Done<A: Aggregate> {
    /// The aggregate after it.
    pub now: Versioned<A>,
    /// What happened; nothing if the command was a repeat.
    pub events: Vec<A::Event>,
}

/// The ids of aggregates, by kind.
pub(crate) type Subjects = BTreeMap<&'static str, BTreeSet<String>>;

/// One transaction. Work on it must await nothing else.
pub struct Unit<'c> {
    conn: &'c mut dyn Work,
    inner: &'c Inner,
    at: Timestamp,
}

impl fmt::Debug for Unit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unit")
            .field("context", &self.inner.context)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl<'c> Unit<'c> {
    pub(super) fn new(conn: &'c mut dyn Work, inner: &'c Inner) -> Self {
        let at = inner.clock.now();
        Self { conn, inner, at }
    }

    /// The connection, for read models.
    pub fn conn(&mut self) -> &mut dyn Conn {
        self.conn
    }

    /// When the transaction began.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Gives a command to an aggregate, as [`crate::Store::execute`] does, as part of this transaction.
    pub async fn execute<A: Publish>(
        &mut self,
        id: A::Id,
        command: &A::Command,
        cause: &Cause,
    ) -> Result<Done<A>, ExecuteError<A::Refusal>> {
        let subject = id.to_string();
        let looks = A::claim_ranges(None, command);
        let found = self.conn.find(A::KIND, &subject, &looks).await?;
        let before: Option<Versioned<A>> = found.row.map(|row| versioned(&row, 0)).transpose()?;
        let this = before.as_ref().map(|before| &before.state);
        let now = match (this, found.taken) {
            (None, Some(taken)) => self.now(&looks, taken),
            (this, _) => {
                let looks = A::claim_ranges(this, command);
                let owner = work::owner(A::KIND, &subject);
                let taken = if looks.is_empty() {
                    Vec::new()
                } else {
                    self.conn.taken(&looks, &owner).await?
                };
                self.now(&looks, taken)
            }
        };
        let events = A::decide(this, command, &now).map_err(ExecuteError::Refused)?;
        let held = this.map(Aggregate::claims).unwrap_or_default();
        let from = before.as_ref().map_or(0, |before| before.version);

        let mut after = before;
        let mut told = Vec::new();
        for event in &events {
            let next = self.evolve(after, event)?;
            self.tell::<A>(id, event, &next, cause, &mut told);
            after = Some(next);
        }
        let Some(after) = after else {
            return Err(
                StoreError::Bug(format!("{} decided nothing about nothing", A::KIND)).into(),
            );
        };
        if !events.is_empty() {
            self.save(subject, &after, from, &held, told).await?;
        }
        Ok(Done { now: after, events })
    }

    fn now(&self, looks: &[ClaimRange], taken: Vec<Vec<String>>) -> Now {
        let mut now = Now::at(self.at);
        for (look, keys) in looks.iter().zip(taken) {
            for key in keys {
                now = now.with_held(look.scope.as_str(), key);
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
            // A clock that was set back must not turn a history round.
            updated: updated.max(self.at),
        })
    }

    /// Adds what an event tells the world.
    fn tell<A: Publish>(
        &self,
        id: A::Id,
        event: &A::Event,
        after: &Versioned<A>,
        cause: &Cause,
        told: &mut Vec<Recorded>,
    ) {
        let subject = id.to_string();
        for (index, fact) in A::facts(id, event, after).into_iter().enumerate() {
            let mut cause = cause.clone();
            if !fact.correlation.is_empty() {
                cause.correlation = fact.correlation;
            }
            told.push(Recorded {
                producer: self.inner.context.to_owned(),
                seq: 0,
                id: event_id(self.inner.context, A::KIND, &subject, after.version, index),
                event_type: fact.event_type,
                subject: subject.clone(),
                version: after.version,
                at: after.updated,
                data: fact.data,
                cause,
            });
        }
    }

    /// Saves a state with its claims, what the world is told, and what the context's own read models make of that.
    async fn save<A: Aggregate>(
        &mut self,
        subject: String,
        after: &Versioned<A>,
        from: i64,
        held: &Claims,
        told: Vec<Recorded>,
    ) -> Result<(), StoreError> {
        let bug = |error: &dyn fmt::Display| StoreError::Bug(error.to_string());
        let holds = after.state.claims();
        let pairs = |claims: &mut dyn Iterator<Item = (&str, &str)>| -> Vec<_> {
            let owned = |(scope, key): (&str, &str)| (scope.to_owned(), key.to_owned());
            claims.map(owned).collect()
        };
        let step = Step {
            kind: A::KIND,
            id: subject,
            from,
            version: after.version,
            state: serde_json::to_string(&after.state).map_err(|error| bug(&error))?,
            due: after.state.due(),
            at: after.updated,
            released: pairs(&mut held.minus(&holds)),
            claimed: pairs(&mut holds.minus(held)),
            told: told.clone(),
        };
        self.conn.save(step).await?;
        for event in &told {
            self.show(event).await?;
        }
        Ok(())
    }

    /// Shows an event of the context's own in its read models.
    async fn show(&mut self, event: &Recorded) -> Result<(), StoreError> {
        let inner = self.inner;
        let shown = inner.views.show(self.conn, event).await;
        shown.map_err(|error| match error {
            ProjectionError::Store(error) => error,
            error => StoreError::Bug(error.to_string()),
        })
    }

    /// Saves a state that was told of before: the log has it already.
    pub(crate) async fn save_again<A: Aggregate>(
        &mut self,
        subject: String,
        after: &Versioned<A>,
        from: i64,
        held: &Claims,
    ) -> Result<(), StoreError> {
        self.save(subject, after, from, held, Vec::new()).await
    }

    /// Puts an event on the log where it was, and into the context's own read models.
    pub async fn append_again(&mut self, event: &Recorded) -> Result<(), StoreError> {
        sql::append_again(self.conn, event).await?;
        self.show(event).await
    }

    /// Whether events of this context were lost for good: on its log something else stands in their place.
    pub(crate) async fn has_losses(&mut self) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM log WHERE aggregate = '' LIMIT 1";
        let about_nothing = self.conn.query(sql, Vec::new()).await?;
        Ok(!about_nothing.is_empty())
    }

    /// Name of the context whose store it is.
    pub fn context(&self) -> &'static str {
        self.inner.context
    }

    /// The last sequence number of the log.
    pub async fn head(&mut self) -> Result<i64, StoreError> {
        sql::head(self.conn).await
    }

    /// The log has what others have seen of it.
    pub async fn lift_fence(&mut self) -> Result<(), StoreError> {
        let sql = "DELETE FROM fence";
        self.conn.execute(sql, Vec::new()).await.map(|_| ())
    }

    /// Who holds a claim, as `<kind>/<id>`.
    pub(crate) async fn holder_of(
        &mut self,
        scope: &str,
        key: &str,
    ) -> Result<Option<String>, StoreError> {
        let row = sql::holder(self.conn, scope, key).await?;
        row.map(|row| Ok(row.text(0)?.to_owned())).transpose()
    }

    /// One aggregate, as this transaction sees it.
    pub async fn load<A: Aggregate>(
        &mut self,
        id: A::Id,
    ) -> Result<Option<Versioned<A>>, StoreError> {
        let row = sql::aggregate(self.conn, A::KIND, &id.to_string()).await?;
        row.map(|row| versioned(&row, 0)).transpose()
    }

    /// Aggregates will be given commands, in their order.
    pub(crate) async fn look_ahead(&mut self, wanted: Subjects) -> Result<(), StoreError> {
        for (kind, ids) in wanted {
            let ids: Vec<String> = ids.into_iter().collect();
            self.conn.look_ahead(kind, &ids).await?;
        }
        Ok(())
    }

    pub(crate) async fn advance(
        &mut self,
        batch: Batch<'_>,
    ) -> Result<Option<Vec<String>>, StoreError> {
        self.conn.advance(batch).await
    }

    /// How far a consumer has come with a producer's log; it goes no further before this transaction is done.
    pub async fn hold_cursor(&mut self, consumer: &str, log: &LogId) -> Result<i64, StoreError> {
        let at = sql::cursor(self.conn, consumer, log.context()).await?;
        let key = (consumer, log.context());
        if sql::move_cursor(self.conn, key, at, at).await? {
            Ok(at)
        } else {
            Err(StoreError::Contended)
        }
    }

    /// Forgets a consumer: its cursors and its dead letters.
    pub async fn forget(&mut self, consumer: &str) -> Result<(), StoreError> {
        sql::forget(self.conn, consumer).await
    }

    /// Puts one consumer in the place of another: its cursors and dead letters become those of `other`, whose own go.
    pub async fn replace(&mut self, other: &str, consumer: &str) -> Result<(), StoreError> {
        sql::forget(self.conn, other).await?;
        sql::rename(self.conn, consumer, other).await
    }

    pub(crate) async fn put_letter(&mut self, letter: &DeadLetter) -> Result<(), StoreError> {
        sql::put_letter(self.conn, letter).await
    }

    pub(crate) async fn letters_due(
        &mut self,
        consumer: &str,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        sql::letters_due(self.conn, consumer, self.at).await
    }

    pub(crate) async fn remove_letter(&mut self, letter: &DeadLetter) -> Result<bool, StoreError> {
        sql::remove_letter(self.conn, letter).await
    }

    pub(crate) async fn redrive(&mut self, subject: &str) -> Result<u64, StoreError> {
        sql::redrive(self.conn, subject, self.at).await
    }

    pub(crate) async fn savepoint(&mut self, point: Savepoint) -> Result<(), StoreError> {
        self.conn.savepoint(point).await
    }

    pub(super) async fn probe(&mut self) -> Result<(), StoreError> {
        sql::note_probe(self.conn, self.at).await
    }

    /// Makes the tables of the context's own read models.
    pub(super) async fn migrate(&mut self) -> Result<(), StoreError> {
        for migration in self.inner.migrations {
            if !sql::migrated(self.conn, migration.name).await? {
                for statement in migration
                    .sql
                    .split(';')
                    .filter(|statement| !statement.trim().is_empty())
                {
                    self.conn.execute(statement, Vec::new()).await?;
                }
                sql::note_migration(self.conn, migration.name, self.at).await?;
            }
        }
        Ok(())
    }
}

/// The aggregate in a row that has state, version, created and updated from `column` on.
pub(super) fn versioned<A: Aggregate>(
    row: &Row,
    column: usize,
) -> Result<Versioned<A>, StoreError> {
    let state = row.text(column)?;
    Ok(Versioned {
        state: serde_json::from_str(state).map_err(|error| {
            StoreError::Bug(format!("a stored {} cannot be read: {error}", A::KIND))
        })?,
        version: row.int(column + 1)?,
        created: row.time(column + 2)?,
        updated: row.time(column + 3)?,
    })
}
