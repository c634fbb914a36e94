//! The dead letters of a consumer: events that failed are retried with back-off, then parked for an operator.

use std::sync::Arc;

use crate::{
    base::time::{SignedDuration, Timestamp},
    domain::{consumer_name::ConsumerName, event::Recorded, log_id::LogId},
    messaging::{consume_error::ConsumeError, reactions::Reactions},
    store::{DeadLetter, Store, StoreError, UnitOfWork},
};

/// A dead letter is parked after this many attempts: after about ten minutes, so that a short outage of what an effect
/// needs parks nothing.
pub const MAX_ATTEMPTS: i64 = 19;
/// Longest back-off in milliseconds.
const LONGEST_BACKOFF: i64 = 60_000;

/// The dead letters of a consumer from one producer. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct DeadLetters {
    pub(super) consumer: ConsumerName,
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
        let letter = DeadLetter {
            consumer: self.consumer.clone(),
            event: event.clone(),
            reason,
            attempts,
            parked: false,
            next_attempt: next_attempt(unit.at(), attempts),
        };
        unit.put_letter(&letter).await
    }

    /// Whether any dead letter is due at a time.
    pub(super) async fn any_due(&self, now: Timestamp) -> Result<bool, StoreError> {
        Ok(!self.due(now).await?.is_empty())
    }

    async fn due(&self, now: Timestamp) -> Result<Vec<DeadLetter>, StoreError> {
        let key = (self.consumer.clone(), self.producer.clone());
        self.store.letters_due(key, now).await
    }

    /// Retries the dead letters that are due, the first of each aggregate. Returns whether any succeeded.
    pub(super) async fn retry(&self) -> Result<bool, ConsumeError> {
        let mut any = false;
        for letter in self.due(self.store.clock().now()).await? {
            any |= self.retry_one(letter).await?;
        }
        Ok(any)
    }

    /// Retries one dead letter. Returns whether it succeeded.
    async fn retry_one(&self, letter: DeadLetter) -> Result<bool, ConsumeError> {
        let (this, retried) = (self.clone(), letter.clone());
        let applied = self.store.transact(move |unit| {
            let (this, letter) = (this.clone(), retried.clone());
            Box::pin(async move { this.apply_in(unit, &letter).await })
        });
        let error = match applied.await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let reason = error.event_failure().ok_or(error)?;
        self.fail(letter, reason).await?;
        Ok(false)
    }

    /// Applies a dead letter and removes it. False if another transaction has applied or changed it.
    async fn apply_in(
        &self,
        unit: &mut UnitOfWork<'_>,
        letter: &DeadLetter,
    ) -> Result<bool, ConsumeError> {
        self.reactions.lock(unit, &self.consumer).await?;
        // Removed before its effect: the transaction that removes it is the only one that applies it.
        if !unit.remove_letter(letter).await? {
            return Ok(false);
        }
        let faults = self.store.faults();
        self.reactions
            .apply(unit, &self.consumer, &letter.event, faults)
            .await?;
        Ok(true)
    }

    /// Records another failure, unless another transaction has changed the dead letter.
    async fn fail(&self, letter: DeadLetter, reason: String) -> Result<(), StoreError> {
        let (event, attempts) = (&letter.event, letter.attempts + 1);
        tracing::warn!(consumer = %self.consumer, event.id = %event.id, event.type = %event.event_type,
            attempts, error = %reason, "event failed again");
        let parked = attempts >= MAX_ATTEMPTS;
        let changed = self.store.transact(move |unit| {
            let failed = DeadLetter {
                reason: reason.clone(),
                attempts,
                parked,
                next_attempt: next_attempt(unit.at(), attempts),
                ..letter.clone()
            };
            Box::pin(async move { unit.update_letter(&failed).await })
        });
        if changed.await? && parked {
            metrics::counter!("berth_parked_events_total", "consumer" => self.consumer.to_string())
                .increment(1);
        }
        Ok(())
    }
}

fn next_attempt(now: Timestamp, attempts: i64) -> Timestamp {
    now.saturating_add(backoff(attempts)).unwrap_or(now)
}

/// Delay before the next attempt: 100 ms, doubled with each attempt, at most a minute.
fn backoff(attempts: i64) -> SignedDuration {
    if attempts == 0 {
        return SignedDuration::ZERO;
    }
    let doublings = u32::try_from(attempts.clamp(1, 20) - 1).unwrap_or(0);
    SignedDuration::from_millis((100_i64 << doublings).min(LONGEST_BACKOFF))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_is_retried_for_about_ten_minutes_before_it_is_parked() {
        let waits = (1..MAX_ATTEMPTS).map(backoff);
        let total: SignedDuration = waits.sum();
        assert!((9..=11).contains(&total.as_mins()), "{total:?}");
        assert_eq!(backoff(1), SignedDuration::from_millis(100));
    }
}
