//! The relay: tells the bus what is new on the log of its context.

use std::{sync::Arc, time::Duration};

use crate::{
    messaging::bus::{Bus, BusError},
    store::{CARRIED, READ, Store, StoreError},
};

/// At most so many events are handed over in one step.
const BATCH: i64 = 256;
/// How the bus is called where it has seen more than there is.
const BUS: &str = "the bus";
/// How long the bus is asked at a start; it may be away.
const PATIENCE: Duration = Duration::from_secs(2);

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
    Fault(#[from] crate::base::faults::Injected),
}

/// Numbers what is new on the log, and hands it over to the bus. Answers whether there was anything.
pub async fn relay_once(store: &Store, bus: &Arc<dyn Bus>) -> Result<bool, RelayError> {
    if store.fenced().is_some() {
        return Ok(false);
    }
    // First, and whatever becomes of the bus: what has no number cannot be read from the log either.
    let mut any = store.stamp().await?;
    for partition in 0..store.partitions() {
        let topic = (store.context().to_owned(), partition);
        let known = bus.known(&topic).await?;
        let head = store.head(partition).await?;
        if head < known {
            store.seen(partition, known, BUS, CARRIED).await?;
        }
        let floor = store.floor(partition);
        if head < floor {
            store.seen(partition, floor, "a replica", READ).await?;
        }
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

/// Looks whether the bus was told of more than is on the log; then the log has gone back, and the store is fenced.
pub async fn compare(store: &Store, bus: &Arc<dyn Bus>) -> Result<(), StoreError> {
    for partition in 0..store.partitions() {
        let topic = (store.context().to_owned(), partition);
        match tokio::time::timeout(PATIENCE, bus.known(&topic)).await {
            Ok(Ok(known)) => {
                store.seen(partition, known, BUS, CARRIED).await?;
            }
            Ok(Err(error)) => {
                tracing::warn!(context = store.context(), error = %error, "the bus cannot say what it was told");
            }
            Err(_) => {
                tracing::warn!(
                    context = store.context(),
                    "the bus does not say what it was told"
                );
            }
        }
    }
    Ok(())
}
