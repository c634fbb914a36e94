//! Applies a batch of events to the store of a consumer, in one transaction with the cursor.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    domain::{
        event::Recorded,
        log_id::LogId,
        position::{Cursor, Position},
    },
    messaging::{
        consume_error::ConsumeError, dead_letters::DeadLetters, policies::ReactError,
        reactions::Reactions,
    },
    store::{Batch, Store, StoreError, UnitOfWork},
};

/// How a batch is applied. Savepoints are expensive and nearly all events succeed: a batch is applied without savepoints
/// first, and again with one for each event only if an event fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Savepoints {
    None,
    EachEvent,
}

/// Applies the batches of one consumer.
#[derive(Debug)]
pub(super) struct Applier {
    pub(super) consumer: String,
    pub(super) producer: LogId,
    pub(super) store: Store,
    pub(super) dead_letters: DeadLetters,
    types: BTreeSet<String>,
    reactions: Arc<Reactions>,
}

impl Applier {
    pub(super) fn new(
        consumer: String,
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
    pub(super) async fn apply(
        self: &Arc<Self>,
        from: Cursor,
        to: Position,
        batch: Vec<Recorded>,
    ) -> Result<(), ConsumeError> {
        let applied = self.transact(from, to, batch.clone(), Savepoints::None);
        match applied.await {
            // A failed statement may show only at the commit.
            Err(ConsumeError::EventFailed | ConsumeError::Store(StoreError::Bug(_))) => {
                self.transact(from, to, batch, Savepoints::EachEvent).await
            }
            done => done,
        }
    }

    async fn transact(
        self: &Arc<Self>,
        from: Cursor,
        to: Position,
        batch: Vec<Recorded>,
        savepoints: Savepoints,
    ) -> Result<(), ConsumeError> {
        let this = self.clone();
        let work = self.store.transact(move |unit| {
            let (this, batch) = (this.clone(), batch.clone());
            Box::pin(async move { this.apply_with(unit, from, to, &batch, savepoints).await })
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
        self.apply_with(unit, from, to, batch, Savepoints::EachEvent)
            .await
    }

    async fn apply_with(
        &self,
        unit: &mut UnitOfWork<'_>,
        from: Cursor,
        to: Position,
        batch: &[Recorded],
        savepoints: Savepoints,
    ) -> Result<(), ConsumeError> {
        let advanced = unit.advance(Batch {
            consumer: &self.consumer,
            producer: self.producer.context(),
            from: from.at.seq,
            to,
            // Events of several producers update the same rows.
            alone: matches!(*self.reactions, Reactions::Views(_)),
        });
        // The aggregates that have dead letters: their later events wait behind these.
        let blocked = advanced.await?.ok_or(ConsumeError::Fenced)?;
        let mut blocked: BTreeSet<String> = blocked.into_iter().collect();
        let is_handled = |event: &&Recorded| {
            self.types.contains(&event.event_type) && !from.skip.contains(event.seq)
        };
        if savepoints == Savepoints::None {
            let subjects = self.reactions.subjects(batch.iter().filter(is_handled));
            unit.look_ahead(subjects).await?;
        }
        for event in batch.iter().filter(is_handled) {
            if blocked.contains(&event.subject) {
                self.dead_letters.add_behind(unit, event).await?;
            } else if let Some(reason) = self.apply_event(unit, event, savepoints).await? {
                blocked.insert(event.subject.clone());
                self.dead_letters.add(unit, event, reason).await?;
            }
        }
        Ok(())
    }

    /// Applies an event. Returns why it failed, if it did and a savepoint has rolled it back.
    async fn apply_event(
        &self,
        unit: &mut UnitOfWork<'_>,
        event: &Recorded,
        savepoints: Savepoints,
    ) -> Result<Option<String>, ConsumeError> {
        let reactions = &self.reactions;
        match savepoints {
            Savepoints::EachEvent => Ok(reactions.apply_in_savepoint(unit, event).await?),
            Savepoints::None => {
                let applied = reactions.apply(unit, event).await;
                let failed = |error: ReactError| {
                    let fault = error.store_fault();
                    fault.map_or(ConsumeError::EventFailed, Into::into)
                };
                applied.map(|()| None).map_err(failed)
            }
        }
    }
}
