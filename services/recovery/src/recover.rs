//! Recovers events that a log has lost but others have seen.
//!
//! Events that a source still has are inserted at their positions and applied to their aggregates. An `EventLost` replaces
//! every other one. All of that and the removal of the write fence is one transaction.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use berth::eventlog::v1::EventLost;
use prost::{Message, Name};

use crate::report::{Fate, Loss, Report};

use chassis::{
    domain::{
        event::{Cause, Recorded, event_id},
        log_id::LogId,
    },
    messaging::{
        bus::{Bus, BusError},
        log_reader::{LogError, LogReader},
    },
    store::{AsStoreError, Store, StoreError, UnitOfWork, WriteFence, restorer::Restorer},
};

/// The most events that are read at once.
const PAGE: i64 = 500;

/// A source of lost events.
#[derive(Clone, Debug)]
pub enum Source {
    /// Another copy of the log that goes further.
    Log(Arc<dyn LogReader>),
    /// The bus.
    Bus(Arc<dyn Bus>),
}

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

/// Why a recovery failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RecoverError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A source failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A source failed.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// A source has another event at a position that both have.
    #[error("the source has another history: event {0} differs")]
    OtherHistory(i64),
    /// Nothing was changed; the report says what would have been done.
    #[error("nothing was changed")]
    Only(Box<Report>),
}

impl AsStoreError for RecoverError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

/// Recovers a fenced store. Returns a report of the lost events; none if the store is not fenced. Nothing is changed if
/// `may` does not allow it.
pub async fn recover(
    store: &Store,
    restorers: &[Restorer],
    sources: &[Source],
    may: May,
) -> Result<Option<Report>, RecoverError> {
    store.look_at_fence().await?;
    let Some(fence) = store.fenced() else {
        return Ok(None);
    };
    let kept = Arc::new(collect(store, &fence, sources).await?);
    let restorers: Arc<[Restorer]> = restorers.into();
    let done = store.transact_fenced(move |unit| {
        let (fence, kept, restorers) = (fence.clone(), kept.clone(), restorers.clone());
        Box::pin(async move {
            let report = put_back(unit, fence, &kept, &restorers).await?;
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
    store.look_at_fence().await?;
    Ok(Some(report))
}

/// The lost events that a source still has, by position.
async fn collect(
    store: &Store,
    fence: &WriteFence,
    sources: &[Source],
) -> Result<BTreeMap<i64, Recorded>, RecoverError> {
    let head = store.head().await?;
    // The last event that is still there must be the same everywhere.
    let from = (head - 1).max(0);
    let last = store.log_after(from, 1).await?.pop();
    let mut kept = BTreeMap::new();
    for source in sources {
        for event in read(source, store.context(), fence, from).await? {
            match &last {
                Some(last) if last.seq == event.seq && last.id != event.id => {
                    return Err(RecoverError::OtherHistory(event.seq));
                }
                _ if event.seq > head && event.seq <= fence.seen => {
                    kept.entry(event.seq).or_insert(event);
                }
                _ => {}
            }
        }
    }
    Ok(kept)
}

async fn read(
    source: &Source,
    context: &str,
    fence: &WriteFence,
    from: i64,
) -> Result<Vec<Recorded>, RecoverError> {
    match source {
        Source::Bus(bus) => Ok(bus.read_back(&LogId::of(context), from, fence.seen).await?),
        Source::Log(log) => {
            let mut events: Vec<Recorded> = Vec::new();
            loop {
                let after = events.last().map_or(from, |last| last.seq);
                let page = log.read(after, PAGE).await?;
                if page.is_empty() || after >= fence.seen {
                    return Ok(events);
                }
                events.extend(page);
            }
        }
    }
}

/// Restores the lost events in their order and removes the fence.
async fn put_back(
    unit: &mut UnitOfWork<'_>,
    fence: WriteFence,
    kept: &BTreeMap<i64, Recorded>,
    restorers: &[Restorer],
) -> Result<Report, RecoverError> {
    let head = unit.head().await?;
    let mut losses = Vec::new();
    // Later events of an aggregate cannot be restored without the earlier ones.
    let mut broken: BTreeSet<&str> = BTreeSet::new();
    for seq in head + 1..=fence.seen {
        let event = kept.get(&seq);
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
        let appended = match (event, &fate) {
            (Some(event), Fate::Restored | Fate::Appended) => event.clone(),
            _ => replacement(unit, seq, event, &fate),
        };
        unit.append_again(&appended).await?;
        losses.push(Loss {
            seq,
            event: event.cloned(),
            fate,
        });
    }
    unit.lift_fence().await?;
    Ok(Report {
        context: unit.context(),
        fence,
        head,
        losses,
        recovered: false,
    })
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
