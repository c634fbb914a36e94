//! The relay: tells the bus what is new on the log of its context.

use std::sync::Arc;

use crate::{
    bus::{Bus, BusError},
    store::{Store, StoreError},
};

/// At most so many events are handed over in one step.
const BATCH: i64 = 256;

/// Why a step of the relay failed; the next one takes up where it left off.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The log could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bus could not take it.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// A test broke it.
    #[error(transparent)]
    Fault(#[from] crate::faults::Injected),
}

/// Numbers what is new on the log, and hands it over to the bus. Answers whether there was anything.
pub async fn relay_once(store: &Store, bus: &Arc<dyn Bus>) -> Result<bool, RelayError> {
    // First, and whatever becomes of the bus: what has no number cannot be read from the log either.
    let mut any = store.stamp().await?;
    for partition in 0..store.partitions() {
        let topic = (store.context().to_owned(), partition);
        let known = bus.known(&topic).await?;
        let head = store.head(partition).await?;
        if head <= known {
            continue;
        }
        let events = if bus.carries_events() {
            store.log_after(partition, known, BATCH).await?
        } else {
            Vec::new()
        };
        store.faults().pass("relay.publish")?;
        let head = events.last().map_or(head, |last| last.seq);
        bus.publish(topic, events, head).await?;
        store.faults().pass("relay.published")?;
        any = true;
    }
    Ok(any)
}
