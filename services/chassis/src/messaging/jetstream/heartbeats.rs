//! The last heartbeat received from each producer.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use crate::{
    domain::{log_id::LogId, position::Position},
    messaging::bus::Heartbeat,
};

/// The last heartbeat of each producer that is subscribed to: its high-water mark, and when it was received.
#[derive(Default)]
pub(super) struct Heartbeats(Mutex<BTreeMap<LogId, (Position, Instant)>>);

impl Heartbeats {
    /// Adds a producer without a heartbeat, unless it is there already.
    pub(super) fn await_from(&self, log: &LogId) {
        let mut last = self.last();
        last.entry(log.clone())
            .or_insert((Position::START, Instant::now()));
    }

    /// Records a heartbeat.
    pub(super) fn record(&self, log: &LogId, high_water_mark: Position) {
        let heartbeat = (high_water_mark, Instant::now());
        self.last().insert(log.clone(), heartbeat);
    }

    /// Removes a producer. If another subscription to it exists, the next heartbeat adds it again.
    pub(super) fn remove(&self, log: &LogId) {
        self.last().remove(log);
    }

    pub(super) fn all(&self) -> Vec<Heartbeat> {
        let last = self.last();
        let heartbeats = last
            .iter()
            .map(|(log, (high_water_mark, received))| Heartbeat {
                log: log.clone(),
                high_water_mark: *high_water_mark,
                age: received.elapsed(),
            });
        heartbeats.collect()
    }

    fn last(&self) -> MutexGuard<'_, BTreeMap<LogId, (Position, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
