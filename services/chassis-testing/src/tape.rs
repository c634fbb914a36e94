//! A log that a test writes, for a context that does not run.

use std::{
    fmt::Display,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::future::BoxFuture;
use prost::{Message, Name};

use chassis::{
    base::time::Timestamp,
    domain::{
        digest::LogDigest,
        event::{Cause, Recorded, event_id},
        log_id::LogId,
        position::Position,
    },
    messaging::{
        bus::{Bus, BusError},
        log_reader::{LogError, LogReader},
    },
};

/// A log in memory. Clones are the same log.
#[derive(Clone, Debug)]
pub struct Tape {
    producer: &'static str,
    events: Arc<Mutex<Vec<Recorded>>>,
}

impl Tape {
    /// An empty log of a context.
    pub fn of(producer: &'static str) -> Self {
        Self {
            producer,
            events: Arc::default(),
        }
    }

    /// Appends an event about an aggregate.
    pub fn record<E: Message + Name>(
        &self,
        subject: impl Display,
        at: Timestamp,
        actor: &str,
        event: &E,
    ) -> Recorded {
        let subject = subject.to_string();
        let mut events = self.events();
        let before = events.iter().filter(|event| event.subject == subject);
        let version = i64::try_from(before.count()).unwrap_or(i64::MAX - 1) + 1;
        let mut recorded = Recorded {
            producer: self.producer.to_owned(),
            seq: i64::try_from(events.len()).unwrap_or(i64::MAX - 1) + 1,
            digest: LogDigest::default(),
            id: event_id(self.producer, "tape", &subject, version, 0),
            event_type: E::full_name(),
            subject,
            version,
            at,
            data: event.encode_to_vec().into(),
            cause: Cause::by(actor),
        };
        let before = events.last().map(|last| last.digest);
        recorded.digest = recorded.digest_after(before.unwrap_or_default());
        events.push(recorded.clone());
        recorded
    }

    /// Publishes its high-water mark to a bus.
    pub async fn announce(&self, bus: &dyn Bus) -> Result<(), BusError> {
        let mark = self.mark();
        bus.publish(LogId::of(self.producer), Vec::new(), mark)
            .await
    }

    /// The position of its last event.
    pub fn mark(&self) -> Position {
        self.events()
            .last()
            .map_or(Position::START, |last| Position {
                seq: last.seq,
                digest: last.digest,
                ..Position::START
            })
    }

    fn events(&self) -> MutexGuard<'_, Vec<Recorded>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogReader for Tape {
    fn read(&self, after: i64, limit: i64) -> BoxFuture<'_, Result<Vec<Recorded>, LogError>> {
        let number = |count: i64| usize::try_from(count).unwrap_or(0);
        let events = self.events();
        let batch = events.iter().skip(number(after)).take(number(limit));
        let batch = batch.cloned().collect();
        Box::pin(std::future::ready(Ok(batch)))
    }

    fn high_water_mark(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        Box::pin(std::future::ready(Ok(self.mark())))
    }
}
