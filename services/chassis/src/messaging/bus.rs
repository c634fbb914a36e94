//! The bus: how a consumer learns that a producer's log has grown.
//!
//! The log is the truth; the bus is only fast. It may lose, repeat and reorder what it carries: a consumer knows by the
//! sequence numbers, and fills what is missing from the producer's log.

use std::time::Duration;

use berth::inspection::v1::BusKind;
use futures::future::BoxFuture;

use crate::domain::{event::Recorded, log_id::LogId};

/// The bus cannot be used right now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bus unavailable: {0}")]
pub struct BusError(pub String);

/// What a feed brings.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// Events, perhaps with gaps and repeats.
    Events(Vec<Recorded>),
    /// The log has come so far.
    Head(i64),
}

/// Carries news from the logs to the consumers.
pub trait Bus: Send + Sync + std::fmt::Debug {
    /// How far the bus knows a log; the relay starts there. 0 if it knows nothing.
    fn known(&self, log: &LogId) -> BoxFuture<'_, Result<i64, BusError>>;
    /// Whether it carries events and not only heads.
    fn carries_events(&self) -> bool;
    /// Takes news of a log: the events from [`Bus::known`] on if it carries them, and its head.
    fn publish(
        &self,
        log: LogId,
        events: Vec<Recorded>,
        head: i64,
    ) -> BoxFuture<'_, Result<(), BusError>>;
    /// A feed of a log for one consumer, beginning with what is known now.
    fn subscribe(
        &self,
        log: LogId,
        consumer: &str,
    ) -> BoxFuture<'_, Result<Box<dyn Feed>, BusError>>;
    /// Forgets what it remembers of a log that somebody else may have told it of in the meantime.
    fn forget(&self, _context: &str) {}
    /// Tells those who listen how far a log has come, though nothing is new: what was lost on the way is missed then.
    fn beat(&self, _log: &LogId, _head: i64) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
    /// Tells the replica that leads a context that there is work for it.
    fn wake(&self, _context: &str) {}
    /// Waits until somebody says so. Where there is one replica nobody does.
    fn woken(&self, _context: &str) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
    /// The events of a log after a sequence number up to another one, as far as it still has them: for a log that has gone
    /// back.
    fn read_back(
        &self,
        _log: &LogId,
        _after: i64,
        _to: i64,
    ) -> BoxFuture<'_, Result<Vec<Recorded>, BusError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
    /// Whether it can be reached.
    fn is_connected(&self) -> bool {
        true
    }
    /// What it is, for whoever operates the platform.
    fn kind(&self) -> BusKind {
        BusKind::Unspecified
    }
    /// The last signs of life of the producers that were heard, if it carries any.
    fn beats(&self) -> Vec<Beat> {
        Vec::new()
    }
}

/// A sign of life of a producer: how far its log had come at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The log.
    pub log: LogId,
    /// How far it had come.
    pub head: i64,
    /// How long ago that was heard.
    pub ago: Duration,
}

/// A consumer's end of the bus.
pub trait Feed: Send + std::fmt::Debug {
    /// Waits for the next news.
    fn next(&mut self) -> BoxFuture<'_, Result<Signal, BusError>>;
    /// What is there already, without waiting.
    fn ready(&mut self) -> Option<Signal>;
    /// Everything that was given has had its effect.
    fn taken(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
