//! The relay: publishes the new events of a context's log on the bus.

use std::{sync::Arc, time::Duration};

use crate::{
    domain::{log_id::LogId, position::Position},
    messaging::bus::{Bus, BusError},
    store::{CARRIED, READ, Store, StoreError},
};

/// Maximum number of events published in one step.
const BATCH: i64 = 256;
/// Name of the bus as the witness of a write fence.
const BUS: &str = "the bus";
/// How long a start waits for the bus, which may be away.
const BUS_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a step of the relay failed. The next step continues where it stopped.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The log could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bus failed.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// A fault injected by a test.
    #[error(transparent)]
    Fault(#[from] crate::base::faults::Injected),
}

/// Numbers the new events of the log and publishes them on the bus. Returns whether there were any.
pub async fn relay_once(store: &Store, bus: &Arc<dyn Bus>) -> Result<bool, RelayError> {
    if store.fenced().is_some() {
        return Ok(false);
    }
    let log = LogId::of(store.context());
    let published = bus.high_water_mark(&log).await;
    if !store.is_compared() {
        let published = published.as_ref().map_err(Clone::clone)?;
        store.compare(*published, BUS, CARRIED).await?;
    }
    // Even if the bus is away: an event without a sequence number cannot be read from the log either.
    let mut any = store.number_events().await?;
    let mut published = published?;
    let floor = store.floor();
    let (head, [has_published, has_floor]) = store.ends([published, floor]).await?;
    if !has_published || published.epoch != head.epoch {
        let reported = store.compare(published, BUS, CARRIED).await?;
        published = reported.resume.map_or(published, |resume| resume.at);
    }
    if !has_floor {
        store.compare(floor, "a replica", READ).await?;
    }
    if store.fenced().is_some() {
        return Ok(any);
    }
    store.record_position(head);
    if head.seq > published.seq {
        let events = if bus.carries_events() {
            store.log_after(published.seq, BATCH).await?
        } else {
            Vec::new()
        };
        store.faults().pass("relay.publish")?;
        let high_water_mark = events.last().map_or(head, |last| Position {
            seq: last.seq,
            digest: last.digest,
            ..head
        });
        bus.publish(log, events, high_water_mark).await?;
        store.faults().pass("relay.published")?;
        any = true;
    }
    Ok(any)
}

/// Publishes what is committed now. Other replicas may commit meanwhile, without pause: those events are left to the next
/// leader.
pub async fn relay_committed(store: &Store, bus: &Arc<dyn Bus>) -> Result<(), RelayError> {
    store.number_events().await?;
    let head = store.high_water_mark().await?.seq;
    let log = LogId::of(store.context());
    while bus.high_water_mark(&log).await?.seq < head && relay_once(store, bus).await? {}
    Ok(())
}

/// Compares the log with the high-water mark of the bus. If the log has another history, it has lost
/// events and the store is fenced.
pub async fn compare(store: &Store, bus: &Arc<dyn Bus>) -> Result<(), StoreError> {
    let context = store.context();
    let log = LogId::of(context);
    match tokio::time::timeout(BUS_TIMEOUT, bus.high_water_mark(&log)).await {
        Ok(Ok(published)) => {
            store.compare(published, BUS, CARRIED).await?;
        }
        Ok(Err(error)) => {
            tracing::warn!(context, error = %error, "log not compared with the bus");
        }
        Err(_) => {
            tracing::warn!(
                context,
                "log not compared with the bus: it does not respond"
            );
        }
    }
    Ok(())
}
