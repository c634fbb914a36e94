//! The dead letters of a consumer: events that failed are retried with back-off, then parked for an operator.

use std::sync::Arc;

use crate::{
    base::time::{SignedDuration, Timestamp},
    domain::{event::Recorded, log_id::LogId},
    messaging::reactions::Reactions,
    store::{DeadLetter, Store, StoreError, UnitOfWork},
};

/// A dead letter is parked after this many attempts.
pub const MAX_ATTEMPTS: i64 = 8;
/// Longest back-off in milliseconds.
const LONGEST_BACKOFF: i64 = 60_000;

/// The dead letters of a consumer from one producer. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct DeadLetters {
    pub(super) consumer: String,
    pub(super) producer: LogId,
    pub(super) store: Store,
    pub(super) reactions: Arc<Reactions>,
}

impl DeadLetters {
    /// Adds an event that failed, as part of a transaction.
    pub(super) async fn add(
        &self,
        unit: &mut UnitOfWork<'_>,
        event: &Recorded,
        reason: String,
    ) -> Result<(), StoreError> {
        tracing::warn!(consumer = %self.consumer, event.id = %event.id, event.type = %event.event_type,
            error = %reason, "event failed");
        self.put(unit, event, reason, 1).await
    }

    /// Adds an event that is not applied because an earlier event of the same aggregate has failed.
    pub(super) async fn add_behind(
        &self,
        unit: &mut UnitOfWork<'_>,
        event: &Recorded,
    ) -> Result<(), StoreError> {
        self.put(unit, event, String::new(), 0).await
    }

    async fn put(
        &self,
        unit: &mut UnitOfWork<'_>,
        event: &Recorded,
        reason: String,
        attempts: i64,
    ) -> Result<(), StoreError> {
        let parked = attempts >= MAX_ATTEMPTS;
        if parked {
            metrics::counter!("berth_parked_events_total", "consumer" => self.consumer.clone())
                .increment(1);
        }
        let at = unit.at();
        unit.put_letter(&DeadLetter {
            consumer: self.consumer.clone(),
            event: event.clone(),
            reason,
            attempts,
            parked,
            next_attempt: at.saturating_add(backoff(attempts)).unwrap_or(at),
        })
        .await
    }

    /// Whether any dead letter is due at a time.
    pub(super) async fn any_due(&self, now: Timestamp) -> Result<bool, StoreError> {
        self.store.any_letters_due(self.consumer.clone(), now).await
    }

    /// Retries the dead letters that are due, the first of each aggregate. Returns whether any succeeded.
    pub(super) async fn retry(&self) -> Result<bool, StoreError> {
        if !self.any_due(self.store.clock().now()).await? {
            return Ok(false);
        }
        let this = self.clone();
        self.store
            .transact(move |unit| {
                let this = this.clone();
                Box::pin(async move { this.retry_in(unit).await })
            })
            .await
    }

    async fn retry_in(&self, unit: &mut UnitOfWork<'_>) -> Result<bool, StoreError> {
        let mut any = false;
        for letter in unit.letters_due(&self.consumer).await? {
            let event = &letter.event;
            if event.producer != self.producer.context() {
                continue;
            }
            match self.reactions.apply_in_savepoint(unit, event).await? {
                None => {
                    unit.remove_letter(&letter).await?;
                    any = true;
                }
                Some(reason) => {
                    tracing::warn!(consumer = %self.consumer, event.id = %event.id, event.type = %event.event_type,
                        attempts = letter.attempts + 1, error = %reason, "event failed again");
                    self.put(unit, event, reason, letter.attempts + 1).await?;
                }
            }
        }
        Ok(any)
    }
}

/// Delay before the next attempt: 100 ms, doubled with each attempt, at most a minute.
fn backoff(attempts: i64) -> SignedDuration {
    if attempts == 0 {
        return SignedDuration::ZERO;
    }
    let doublings = u32::try_from(attempts.clamp(1, 20) - 1).unwrap_or(0);
    SignedDuration::from_millis((100_i64 << doublings).min(LONGEST_BACKOFF))
}
