//! The bus inside one process: it publishes only high-water marks, consumers read the logs directly.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use berth::inspection::v1::BusKind;
use tokio::sync::watch;

use crate::{
    domain::{consumer_name::ConsumerName, event::Recorded, log_id::LogId, position::Position},
    messaging::bus::{Bus, BusError, Signal, Subscription},
};

/// The bus inside one process: it publishes only high-water marks.
#[derive(Debug, Default)]
pub struct InProcess {
    high_water_marks: Mutex<BTreeMap<LogId, watch::Sender<Position>>>,
}

impl InProcess {
    /// A bus without any log.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    fn with_log<T>(&self, log: &LogId, with: impl FnOnce(&watch::Sender<Position>) -> T) -> T {
        let marks = self.high_water_marks.lock();
        let mut marks = marks.unwrap_or_else(PoisonError::into_inner);
        let mark = marks.entry(log.clone());
        with(mark.or_insert_with(|| watch::channel(Position::START).0))
    }
}

#[tonic::async_trait]
impl Bus for InProcess {
    fn kind(&self) -> BusKind {
        BusKind::InProcess
    }

    async fn high_water_mark(&self, log: &LogId) -> Result<Position, BusError> {
        Ok(self.with_log(log, |mark| *mark.borrow()))
    }

    fn carries_events(&self) -> bool {
        false
    }

    async fn publish(
        &self,
        log: LogId,
        _events: Vec<Recorded>,
        high_water_mark: Position,
    ) -> Result<(), BusError> {
        self.with_log(&log, |mark| {
            mark.send_if_modified(|mark| {
                let changed = high_water_mark != *mark;
                *mark = high_water_mark;
                changed
            })
        });
        Ok(())
    }

    async fn subscribe(
        &self,
        log: LogId,
        _consumer: &ConsumerName,
    ) -> Result<Box<dyn Subscription>, BusError> {
        let mut marks = self.with_log(&log, watch::Sender::subscribe);
        marks.mark_changed();
        Ok(Box::new(HighWaterMarks(marks)))
    }
}

#[derive(Debug)]
struct HighWaterMarks(watch::Receiver<Position>);

impl HighWaterMarks {
    fn latest(&mut self) -> Signal {
        Signal::HighWaterMark(*self.0.borrow_and_update())
    }
}

#[tonic::async_trait]
impl Subscription for HighWaterMarks {
    async fn next(&mut self) -> Result<Signal, BusError> {
        let changed = self.0.changed().await;
        changed.map_err(|_| BusError("the bus is closed".into()))?;
        Ok(self.latest())
    }

    fn try_next(&mut self) -> Option<Signal> {
        let changed = self.0.has_changed().unwrap_or(false);
        changed.then(|| self.latest())
    }
}
