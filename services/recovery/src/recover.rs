//! `recover`: a context whose log has gone back gets back what others have seen of it.
//!
//! What is still to be had is put on the log where it was, and what comes of it into the aggregates; in the place of what
//! nobody has any more stands an `EventLost`. All of that and the lifting of the fence is one transaction.

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

/// At most so many events are fetched at once.
const PAGE: i64 = 500;

/// Where lost events may still be.
#[derive(Clone, Debug)]
pub enum Source {
    /// Another copy of the log that goes further.
    Log(Arc<dyn LogReader>),
    /// What carries events.
    Bus(Arc<dyn Bus>),
}

/// What a recovery may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    /// Only look.
    Inspect,
    /// Recover if nothing is lost for good.
    Recover,
    /// Recover, and do without what is lost for good.
    Lose,
}

/// Why there was no recovery.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RecoverError {
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A source could not.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A source could not.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// A source has another event where both have one.
    #[error("what is to be recovered from has another history: event {0} differs")]
    OtherHistory(i64),
    /// Nothing was changed; this is what would have been done.
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

/// Recovers a store that is fenced. Returns what became of the lost events, or nothing if it is not fenced; nothing was
/// changed if it may only inspect, or if something is lost for good and that may not be.
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
            let goes = may == May::Lose || may == May::Recover && report.is_whole();
            if goes {
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

/// What the sources still have of what was lost, by its place.
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

/// Lets what was lost happen again, in its order, and lifts the fence.
async fn put_back(
    unit: &mut UnitOfWork<'_>,
    fence: WriteFence,
    kept: &BTreeMap<i64, Recorded>,
    restorers: &[Restorer],
) -> Result<Report, RecoverError> {
    let head = unit.head().await?;
    let mut losses = Vec::new();
    // What cannot be made again takes everything along that comes after it.
    let mut broken: BTreeSet<&str> = BTreeSet::new();
    for seq in head + 1..=fence.seen {
        let event = kept.get(&seq);
        let fate = match event {
            None => Fate::Gone,
            Some(event) => {
                let fate = happen(unit, event, &broken, restorers).await?;
                if matches!(fate, Fate::Impossible(_)) {
                    broken.insert(&event.subject);
                }
                fate
            }
        };
        let event_again = match (event, &fate) {
            (Some(event), Fate::Restored | Fate::Told) => event.clone(),
            _ => instead(unit, seq, event, &fate),
        };
        unit.append_again(&event_again).await?;
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

async fn happen(
    unit: &mut UnitOfWork<'_>,
    event: &Recorded,
    broken: &BTreeSet<&str>,
    restorers: &[Restorer],
) -> Result<Fate, StoreError> {
    if broken.contains(event.subject.as_str()) {
        return Ok(Fate::Impossible("what came before it is missing".into()));
    }
    if event.event_type == EventLost::full_name() {
        return Ok(Fate::Told);
    }
    match restorers.iter().find(|restorer| restorer.concerns(event)) {
        None => Ok(Fate::Told),
        Some(restorer) => Ok(match restorer.apply(unit, event).await? {
            Ok(()) => Fate::Restored,
            Err(why) => Fate::Impossible(why),
        }),
    }
}

/// What stands on the log in the place of an event that cannot be there.
fn instead(unit: &UnitOfWork<'_>, seq: i64, event: Option<&Recorded>, fate: &Fate) -> Recorded {
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
        // It is about nothing that is there.
        subject: String::new(),
        version: 1,
        at: unit.at(),
        data: lost.encode_to_vec().into(),
        cause: Cause::by(format!("service:{context}")),
    }
}
