//! A unit of work: one transaction on one store.

use std::fmt;

use super::{AggregateRow, Conn, DeadLetter, ExecuteError, Inner, Migration, Row, StoreError, sql};
use crate::{
    aggregate::{Aggregate, Claims, Now, Versioned},
    event::{Cause, Publish, Recorded, event_id},
    time::Timestamp,
};

/// What came of a command.
#[derive(Clone, Debug)]
pub struct Done<A: Aggregate> {
    /// The aggregate after it.
    pub now: Versioned<A>,
    /// What happened; nothing if the command was a repeat.
    pub events: Vec<A::Event>,
}

/// One transaction. Work on it must await nothing else.
pub struct Unit<'c> {
    conn: &'c mut dyn Conn,
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
    pub(super) fn new(conn: &'c mut dyn Conn, inner: &'c Inner) -> Self {
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
        let owner = format!("{}/{subject}", A::KIND);
        let row = sql::aggregate(self.conn, A::KIND, &subject).await?;
        let before: Option<Versioned<A>> = row.map(|row| versioned(&row, 0)).transpose()?;
        let this = before.as_ref().map(|before| &before.state);

        let mut now = Now::at(self.at);
        for look in A::looks_at(this, command) {
            for key in sql::taken(self.conn, &look, &owner).await? {
                now = now.with_taken(look.scope.as_str(), key);
            }
        }
        let events = A::decide(this, command, &now).map_err(ExecuteError::Refused)?;
        let held = this.map(Aggregate::claims).unwrap_or_default();
        let from = before.as_ref().map_or(0, |before| before.version);

        let mut after = before;
        for event in &events {
            after = Some(self.evolve(after, event)?);
            if let Some(after) = &after {
                self.record::<A>(id, event, after, cause).await?;
            }
        }
        let Some(after) = after else {
            return Err(
                StoreError::Bug(format!("{} decided nothing about nothing", A::KIND)).into(),
            );
        };
        if !events.is_empty() {
            self.save(&owner, &subject, &after, from, &held).await?;
        }
        Ok(Done { now: after, events })
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

    /// Puts what an event tells the world on the log, and into the read models of the context itself.
    async fn record<A: Publish>(
        &mut self,
        id: A::Id,
        event: &A::Event,
        after: &Versioned<A>,
        cause: &Cause,
    ) -> Result<(), StoreError> {
        let subject = id.to_string();
        for (index, fact) in A::facts(id, event, after).into_iter().enumerate() {
            let mut cause = cause.clone();
            if !fact.correlation.is_empty() {
                cause.correlation = fact.correlation;
            }
            let recorded = Recorded {
                producer: self.inner.context.to_owned(),
                partition: partition_of(&subject, self.inner.partitions),
                seq: 0,
                id: event_id(self.inner.context, A::KIND, &subject, after.version, index),
                event_type: fact.event_type,
                subject: subject.clone(),
                version: after.version,
                at: after.updated,
                data: fact.data,
                cause,
            };
            sql::append(self.conn, &recorded).await?;
            let inner = self.inner;
            inner
                .views
                .show(self.conn, &recorded)
                .await
                .map_err(|error| StoreError::Bug(error.to_string()))?;
        }
        Ok(())
    }

    async fn save<A: Aggregate>(
        &mut self,
        owner: &str,
        subject: &str,
        after: &Versioned<A>,
        from: i64,
        held: &Claims,
    ) -> Result<(), StoreError> {
        let state = serde_json::to_string(&after.state)
            .map_err(|error| StoreError::Bug(error.to_string()))?;
        let row = AggregateRow {
            kind: A::KIND,
            id: subject,
            version: after.version,
            state,
            due: after.state.due(),
            at: after.updated,
        };
        if !sql::put_aggregate(self.conn, row, from).await? {
            return Err(StoreError::Contended);
        }
        let holds = after.state.claims();
        for (scope, key) in held.minus(&holds) {
            sql::release(self.conn, scope, key, owner).await?;
        }
        for (scope, key) in holds.minus(held) {
            if !sql::claim(self.conn, scope, key, owner).await? {
                return Err(StoreError::Contended);
            }
        }
        Ok(())
    }

    /// One aggregate, as this transaction sees it.
    pub async fn load<A: Aggregate>(
        &mut self,
        id: A::Id,
    ) -> Result<Option<Versioned<A>>, StoreError> {
        let row = sql::aggregate(self.conn, A::KIND, &id.to_string()).await?;
        row.map(|row| versioned(&row, 0)).transpose()
    }

    pub(crate) async fn move_cursor(
        &mut self,
        key: (&str, &str, i32),
        from: i64,
        to: i64,
    ) -> Result<bool, StoreError> {
        sql::move_cursor(self.conn, key, from, to).await
    }

    /// How far a consumer has come with a producer's partition; it goes no further before this transaction is done.
    pub async fn hold_cursor(
        &mut self,
        consumer: &str,
        producer: &str,
        partition: i32,
    ) -> Result<i64, StoreError> {
        let at = sql::cursor(self.conn, consumer, producer, partition).await?;
        let key = (consumer, producer, partition);
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

    pub(crate) async fn blocked(
        &mut self,
        consumer: &str,
        producer: &str,
    ) -> Result<Vec<String>, StoreError> {
        sql::blocked(self.conn, consumer, producer).await
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

    pub(crate) async fn savepoint(&mut self, sql: &'static str) -> Result<(), StoreError> {
        self.conn.execute(sql, Vec::new()).await.map(|_| ())
    }

    pub(super) async fn probe(&mut self) -> Result<(), StoreError> {
        sql::note_probe(self.conn, self.at).await
    }

    pub(super) async fn migrate(&mut self, migrations: &[Migration]) -> Result<(), StoreError> {
        for migration in migrations {
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

/// The partition of an aggregate: all its events stay in order. FNV-1a, fixed for ever.
fn partition_of(subject: &str, partitions: i32) -> i32 {
    let hash = subject
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    i32::try_from(hash % u64::try_from(partitions.max(1)).unwrap_or(1)).unwrap_or(0)
}
