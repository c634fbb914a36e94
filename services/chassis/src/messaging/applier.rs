//! Applies a batch of events to the store of a consumer, in one transaction with the cursor.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    domain::{
        consumer_name::ConsumerName,
        event::Recorded,
        log_id::LogId,
        position::{Cursor, Position},
    },
    messaging::{consume_error::ConsumeError, dead_letters::DeadLetters, reactions::Reactions},
    store::{Batch, Store, UnitOfWork},
};

/// Applies the batches of one consumer.
#[derive(Debug)]
pub(super) struct Applier {
    pub(super) consumer: ConsumerName,
    pub(super) producer: LogId,
    pub(super) store: Store,
    pub(super) dead_letters: DeadLetters,
    types: BTreeSet<String>,
    reactions: Arc<Reactions>,
}

impl Applier {
    pub(super) fn new(
        consumer: ConsumerName,
        producer: LogId,
        store: Store,
        reactions: Reactions,
    ) -> Self {
        let reactions = Arc::new(reactions);
        Self {
            dead_letters: DeadLetters {
                consumer: consumer.clone(),
                producer: producer.clone(),
                store: store.clone(),
                reactions: reactions.clone(),
            },
            types: reactions.types(),
            consumer,
            producer,
            store,
            reactions,
        }
    }

    /// Applies a contiguous batch, the events after `from` up to `to`, and moves the cursor.
    ///
    /// Nearly all events succeed, so the batch is one transaction. If that fails, each event gets a transaction of its
    /// own: only then it is known which event fails, even if the failure shows at the commit.
    pub(super) async fn apply(
        self: &Arc<Self>,
        from: Cursor,
        to: Position,
        batch: Vec<Recorded>,
    ) -> Result<(), ConsumeError> {
        match self.transact(from, to, batch.clone()).await {
            Err(error) if error.event_failure().is_some() => self.apply_each(from, batch).await,
            done => done,
        }
    }

    /// Applies the events of a batch one by one. Those that fail become dead letters.
    async fn apply_each(
        self: &Arc<Self>,
        mut from: Cursor,
        batch: Vec<Recorded>,
    ) -> Result<(), ConsumeError> {
        let start = from;
        // Events that are not handled go with the next one that is.
        for part in batch.split_inclusive(|event| self.is_handled(start, event)) {
            let Some(last) = part.last() else { continue };
            let to = Position {
                seq: last.seq,
                digest: last.digest,
                ..from.at
            };
            if let Err(error) = self.transact(from, to, part.to_vec()).await {
                let reason = error.event_failure().ok_or(error)?;
                self.fail(from, to, last, reason).await?;
            }
            from.at = to;
        }
        Ok(())
    }

    async fn transact(
        self: &Arc<Self>,
        from: Cursor,
        to: Position,
        batch: Vec<Recorded>,
    ) -> Result<(), ConsumeError> {
        let this = self.clone();
        let work = self.store.transact(move |unit| {
            let (this, batch) = (this.clone(), batch.clone());
            Box::pin(async move { this.apply_in(unit, from, to, &batch).await })
        });
        work.await
    }

    /// Moves the cursor past an event that failed, which becomes a dead letter.
    async fn fail(
        self: &Arc<Self>,
        from: Cursor,
        to: Position,
        event: &Recorded,
        reason: String,
    ) -> Result<(), ConsumeError> {
        let (this, event) = (self.clone(), event.clone());
        let work = self.store.transact(move |unit| {
            let (this, event, reason) = (this.clone(), event.clone(), reason.clone());
            Box::pin(async move {
                this.advance(unit, from, to, &[]).await?;
                Ok(this.dead_letters.add(unit, &event, reason).await?)
            })
        });
        work.await
    }

    /// Applies a batch as part of a transaction.
    pub(super) async fn apply_in(
        &self,
        unit: &mut UnitOfWork<'_>,
        from: Cursor,
        to: Position,
        batch: &[Recorded],
    ) -> Result<(), ConsumeError> {
        self.reactions.lock(unit, &self.consumer).await?;
        let handled = || batch.iter().filter(|event| self.is_handled(from, event));
        let subjects: BTreeSet<&str> = handled().map(|event| &*event.subject).collect();
        let subjects: Vec<&str> = subjects.into_iter().collect();
        let blocked = self.advance(unit, from, to, &subjects).await?;
        unit.look_ahead(self.reactions.subjects(handled())).await?;
        for event in handled() {
            if blocked.contains(&event.subject) {
                self.dead_letters.add_behind(unit, event).await?;
            } else {
                let faults = self.store.faults();
                self.reactions
                    .apply(unit, &self.consumer, event, faults)
                    .await?;
            }
        }
        Ok(())
    }

    /// Moves the cursor. Returns those of some aggregates that have dead letters: later events wait behind these.
    async fn advance(
        &self,
        unit: &mut UnitOfWork<'_>,
        from: Cursor,
        to: Position,
        subjects: &[&str],
    ) -> Result<Vec<String>, ConsumeError> {
        let advanced = unit.advance(Batch {
            consumer: &self.consumer,
            producer: &self.producer,
            from: from.at.seq,
            to,
            subjects,
        });
        advanced.await?.ok_or(ConsumeError::Fenced)
    }

    fn is_handled(&self, from: Cursor, event: &Recorded) -> bool {
        self.types.contains(&event.event_type) && !from.skip.contains(event.seq)
    }
}
