//! The relay: tells the bus what is new on the log of its context.

use std::{sync::Arc, time::Duration};

use crate::{
    domain::log_id::LogId,
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
    let log = LogId::of(store.context());
    let known = bus.known(&log).await?;
    let head = store.head().await?;
    if head < known {
        store.seen(known, BUS, CARRIED).await?;
    }
    let floor = store.floor();
    if head < floor {
        store.seen(floor, "a replica", READ).await?;
    }
    if head > known {
        let events = if bus.carries_events() {
            store.log_after(known, BATCH).await?
        } else {
            Vec::new()
        };
        store.faults().pass("relay.publish")?;
        let head = events.last().map_or(head, |last| last.seq);
        bus.publish(log, events, head).await?;
        store.faults().pass("relay.published")?;
        any = true;
    }
    Ok(any)
}

/// Looks whether the bus was told of more than is on the log; then the log has gone back, and the store is fenced.
pub async fn compare(store: &Store, bus: &Arc<dyn Bus>) -> Result<(), StoreError> {
    let log = LogId::of(store.context());
    match tokio::time::timeout(PATIENCE, bus.known(&log)).await {
        Ok(Ok(known)) => {
            store.seen(known, BUS, CARRIED).await?;
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
    Ok(())
}
