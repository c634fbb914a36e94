//! Recovers events that a log has lost but others have seen.
//!
//! Events that a source still has are inserted at their positions and applied to their aggregates. An `EventLost` replaces
//! every other one. Events that were given the numbers of lost ones before anybody noticed follow behind them, under new
//! numbers. All of that, the new epoch of the log and the removal of the write fence is one transaction.

use std::{collections::BTreeSet, sync::Arc};

use berth::eventlog::v1::EventLost;
use prost::{Message, Name};

use crate::{
    branch::{self, Branch},
    error::RecoverError,
    report::{Fate, Loss, Report},
    source::Source,
};

use chassis::{
    domain::{
        digest::LogDigest,
        event::{Cause, Recorded, event_id},
        position::Position,
    },
    store::{Recovery, Store, StoreError, UnitOfWork, WriteFence, restorer::Restorer},
};

/// What a recovery may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    /// Change nothing.
    Inspect,
    /// Recover if nothing is lost for good.
    Recover,
    /// Recover, and accept losses.
    Lose,
}

/// Recovers a fenced store. Returns a report of the lost events; none if the store is not fenced. Nothing is changed if
/// `may` does not allow it. `fork` is the last event before the loss, if an operator knows it; otherwise the sources show it.
pub async fn recover(
    store: &Store,
    restorers: &[Restorer],
    sources: &[Source],
    fork: Option<i64>,
    may: May,
) -> Result<Option<Report>, RecoverError> {
    store.refresh_fence().await?;
    let Some(fence) = store.fenced() else {
        return Ok(None);
    };
    let lost = Arc::new(branch::find(store, &fence, sources, fork).await?);
    let restorers: Arc<[Restorer]> = restorers.into();
    let done = store.transact_fenced(move |unit| {
        let (fence, lost, restorers) = (fence.clone(), lost.clone(), restorers.clone());
        Box::pin(async move {
            let report = put_back(unit, fence, &lost, &restorers).await?;
            let allowed = may == May::Lose || may == May::Recover && report.is_whole();
            if allowed {
                Ok(report)
            } else {
                Err(RecoverError::Only(Box::new(report)))
            }
        })
    });
    let report = match done.await {
        Ok(report) => Report {
            recovered: true,
            ..report
        },
        Err(RecoverError::Only(report)) => *report,
        Err(error) => return Err(error),
    };
    store.refresh_fence().await?;
    Ok(Some(report))
}

/// Restores the lost events in their order, moves the events that took their numbers behind them, and removes the fence.
async fn put_back(
    unit: &mut UnitOfWork<'_>,
    fence: WriteFence,
    branch: &Branch,
    restorers: &[Restorer],
) -> Result<Report, RecoverError> {
    let before = unit.high_water_mark().await?;
    let fork = branch.fork.min(before.seq);
    let moved = unit.take_after(fork).await?;
    let mut at = unit.high_water_mark().await?;
    let last = fence.seen.max(branch.last());
    let mut losses = Vec::new();
    // Later events of an aggregate cannot be restored without the earlier ones.
    let mut broken: BTreeSet<&str> = BTreeSet::new();
    for seq in fork + 1..=last {
        let event = branch.events.get(&seq);
        let fate = match event {
            None => Fate::Gone,
            Some(event) => {
                let fate = restore(unit, event, &broken, restorers).await?;
                if matches!(fate, Fate::Impossible(_)) {
                    broken.insert(&event.subject);
                }
                fate
            }
        };
        let event_again = match (event, &fate) {
            (Some(event), Fate::Restored | Fate::Appended) => event.clone(),
            _ => replacement(unit, seq, event, &fate),
        };
        unit.put_back(&next(&mut at, event_again)).await?;
        losses.push(Loss {
            seq,
            event: event.cloned(),
            fate,
        });
    }
    let mut abandoned = Vec::with_capacity(moved.len());
    for event in moved {
        abandoned.push((event.seq, event.digest));
        unit.insert_again(&next(&mut at, event)).await?;
    }
    let recovery = Recovery {
        epoch: before.epoch + 1,
        fork,
        settled: last.max(before.seq),
        shift: last - fork,
        at: unit.at(),
    };
    unit.record_recovery(&recovery, &abandoned).await?;
    unit.lift_fence().await?;
    Ok(Report {
        context: unit.context(),
        fence,
        head: before.seq,
        fork,
        fork_is_known: branch.fork_is_known,
        moved: abandoned.len(),
        losses,
        recovered: false,
    })
}

/// The event with the sequence number and digest that come next.
fn next(at: &mut Position, event: Recorded) -> Recorded {
    at.seq += 1;
    at.digest = event.digest_after(at.digest);
    Recorded {
        seq: at.seq,
        digest: at.digest,
        ..event
    }
}

async fn restore(
    unit: &mut UnitOfWork<'_>,
    event: &Recorded,
    broken: &BTreeSet<&str>,
    restorers: &[Restorer],
) -> Result<Fate, StoreError> {
    if broken.contains(event.subject.as_str()) {
        return Ok(Fate::Impossible(
            "an earlier event of the aggregate is missing".into(),
        ));
    }
    if event.event_type == EventLost::full_name() {
        return Ok(Fate::Appended);
    }
    match restorers.iter().find(|restorer| restorer.concerns(event)) {
        None => Ok(Fate::Appended),
        Some(restorer) => Ok(match restorer.apply(unit, event).await? {
            Ok(()) => Fate::Restored,
            Err(why) => Fate::Impossible(why),
        }),
    }
}

/// The event that replaces one that cannot be restored.
fn replacement(unit: &UnitOfWork<'_>, seq: i64, event: Option<&Recorded>, fate: &Fate) -> Recorded {
    let context = unit.context();
    let lost = EventLost {
        seq,
        r#type: event.map_or_else(String::new, |event| event.event_type.clone()),
        subject: event.map_or_else(String::new, |event| event.subject.clone()),
        reason: fate.to_string(),
    };
    Recorded {
        producer: context.to_owned(),
        seq,
        digest: LogDigest::default(),
        id: event_id(context, "lost", &seq.to_string(), 1, 0),
        event_type: EventLost::full_name(),
        // It concerns no aggregate.
        subject: String::new(),
        version: 1,
        at: unit.at(),
        data: lost.encode_to_vec().into(),
        cause: Cause::by(format!("service:{context}")),
    }
}
