//! The bus inside one process: it only publishes how far each log has come.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use berth::inspection::v1::BusKind;
use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::{
    domain::{event::Recorded, log_id::LogId},
    messaging::bus::{Bus, BusError, Feed, Signal},
};

/// The bus inside one process: it only says how far each log has come.
#[derive(Debug, Default)]
pub struct InProcess {
    heads: Mutex<BTreeMap<LogId, watch::Sender<i64>>>,
}

impl InProcess {
    /// A bus that knows of no log yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    fn with_log<T>(&self, log: &LogId, with: impl FnOnce(&watch::Sender<i64>) -> T) -> T {
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        with(
            heads
                .entry(log.clone())
                .or_insert_with(|| watch::channel(0).0),
        )
    }
}

impl Bus for InProcess {
    fn kind(&self) -> BusKind {
        BusKind::InProcess
    }

    fn known(&self, log: &LogId) -> BoxFuture<'_, Result<i64, BusError>> {
        let known = self.with_log(log, |head| *head.borrow());
        Box::pin(std::future::ready(Ok(known)))
    }

    fn carries_events(&self) -> bool {
        false
    }

    fn publish(
        &self,
        log: LogId,
        _events: Vec<Recorded>,
        head: i64,
    ) -> BoxFuture<'_, Result<(), BusError>> {
        self.with_log(&log, |known| {
            known.send_if_modified(|known| {
                let grown = head > *known;
                *known = head.max(*known);
                grown
            })
        });
        Box::pin(std::future::ready(Ok(())))
    }

    fn subscribe(
        &self,
        log: LogId,
        _consumer: &str,
    ) -> BoxFuture<'_, Result<Box<dyn Feed>, BusError>> {
        let mut heads = self.with_log(&log, watch::Sender::subscribe);
        heads.mark_changed();
        Box::pin(std::future::ready(Ok(
            Box::new(Heads(heads)) as Box<dyn Feed>
        )))
    }
}

#[derive(Debug)]
struct Heads(watch::Receiver<i64>);

impl Feed for Heads {
    fn next(&mut self) -> BoxFuture<'_, Result<Signal, BusError>> {
        Box::pin(async {
            self.0
                .changed()
                .await
                .map_err(|_| BusError("the bus is gone".into()))?;
            Ok(Signal::Head(*self.0.borrow_and_update()))
        })
    }

    fn ready(&mut self) -> Option<Signal> {
        self.0
            .has_changed()
            .unwrap_or(false)
            .then(|| Signal::Head(*self.0.borrow_and_update()))
    }
}
