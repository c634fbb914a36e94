//! The bus: how a consumer learns that a producer's log has grown.
//!
//! The log is the truth; the bus is only fast. It may lose, repeat and reorder events: a consumer notices by the sequence
//! numbers and reads what is missing from the producer's log.

use std::{fmt::Debug, time::Duration};

use berth::inspection::v1::BusKind;

use crate::domain::{
    consumer_name::ConsumerName,
    {event::Recorded, log_id::LogId, position::Position},
};

/// The bus is unavailable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bus unavailable: {0}")]
pub struct BusError(pub String);

/// What a subscription delivers.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// Events, possibly with gaps and repeats.
    Events(Vec<Recorded>),
    /// The position of the last event of the log.
    HighWaterMark(Position),
}

/// Publishes the logs of producers to their consumers.
#[tonic::async_trait]
pub trait Bus: Send + Sync + Debug {
    /// The position of the last event of a log that was published. The relay continues there.
    async fn high_water_mark(&self, log: &LogId) -> Result<Position, BusError>;
    /// Whether the bus carries events, and not only high-water marks.
    fn carries_events(&self) -> bool;
    /// Publishes the events after [`Bus::high_water_mark`], if the bus carries events, and the new high-water mark.
    async fn publish(
        &self,
        log: LogId,
        events: Vec<Recorded>,
        high_water_mark: Position,
    ) -> Result<(), BusError>;
    /// Subscribes a consumer to a log. The subscription starts with what the bus holds now.
    async fn subscribe(
        &self,
        log: LogId,
        consumer: &ConsumerName,
    ) -> Result<Box<dyn Subscription>, BusError>;
    /// Invalidates the cached high-water mark of a context's log: another replica may have published since.
    fn invalidate(&self, _context: &str) {}
    /// Publishes the high-water mark of a log although nothing is new, so that consumers notice a lost tail.
    async fn heartbeat(&self, _log: &LogId, _high_water_mark: Position) {}
    /// Notifies the leader of a context that there is work.
    async fn notify_leader(&self, _context: &str) {}
    /// Waits for [`Bus::notify_leader`]. With a single replica it never returns.
    async fn leader_notified(&self, _context: &str) {
        std::future::pending::<()>().await;
    }
    /// Returns the events of a log after a sequence number up to another one, as far as the bus still holds them. Used to
    /// recover a log that has lost its tail.
    async fn read_back(
        &self,
        _log: &LogId,
        _after: i64,
        _to: i64,
    ) -> Result<Vec<Recorded>, BusError> {
        Ok(Vec::new())
    }
    /// Waits until the bus is connected.
    async fn connected(&self) {}
    /// Whether the bus is connected.
    fn is_connected(&self) -> bool {
        true
    }
    /// The kind of bus, for inspection.
    fn kind(&self) -> BusKind {
        BusKind::Unspecified
    }
    /// The last heartbeat received from each producer.
    fn heartbeats(&self) -> Vec<Heartbeat> {
        Vec::new()
    }
}

/// A heartbeat of a producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The log.
    pub log: LogId,
    /// The position of its last event.
    pub high_water_mark: Position,
    /// Time since the heartbeat was received.
    pub age: Duration,
}

/// The subscription of one consumer to one log.
#[tonic::async_trait]
pub trait Subscription: Send + Debug {
    /// Waits for the next signal.
    async fn next(&mut self) -> Result<Signal, BusError>;
    /// Returns a signal that is available without waiting.
    fn try_next(&mut self) -> Option<Signal>;
    /// Acknowledges all signals returned so far: their effects are committed.
    async fn acknowledge(&mut self) {}
}
