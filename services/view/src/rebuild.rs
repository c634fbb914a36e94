//! Builds the views anew from the logs, beside the live ones, and then takes their place.
//!
//! A rebuild is a consumer like the live one, with a name, cursors, dead letters and a generation of rows of its own. When
//! it has come as far as the live one, one transaction compares the two, gives its cursors, letters and rows to the live
//! one and is done: no event is lost or taken twice, because cursor and rows change hands together. If it dies before,
//! the live one has noticed nothing and the next rebuild starts over.

use std::sync::Arc;

use chassis::{
    Deps, Kind, Store, StoreError,
    domain::{event::Recorded, log_id::LogId},
    error::status::{status, unavailable},
    messaging::{
        bus::Signal,
        consumer::{ConsumeError, Consumer},
        log_reader::LogReader,
    },
    store::UnitOfWork,
};
use tonic::Status;

use crate::views::{
    self, Target,
    generation::{self, Generations},
};

/// The consumer that writes the live views; so named by the chassis.
const LIVE: &str = "view.views";
/// So many events are fetched for the last step, in which nothing can be fetched.
const AHEAD: i64 = 1024;
/// So often the last step is tried while the live views go on.
const LAPS: u32 = 1000;

/// What a rebuild found.
#[derive(Clone, Debug)]
pub(crate) struct Rebuilt {
    pub(crate) events: i64,
    pub(crate) equal: bool,
    pub(crate) digest: String,
}

/// Another rebuild is under way.
pub(crate) fn running() -> Status {
    status(
        Kind::Aborted,
        "REBUILD_RUNNING",
        "the views are being rebuilt already",
    )
}

/// Rebuilds the views.
pub(crate) async fn rebuild(deps: &Deps) -> Result<Rebuilt, Status> {
    let store = &deps.store;
    let mine = begin(store).await?;
    sweep(store).await?;
    let readers = readers(deps, mine)?;
    for _ in 0..LAPS {
        let fetched = catch_up(store, &readers).await.map_err(failed)?;
        if let Some(rebuilt) = take_over(store, mine, fetched).await.map_err(failed)? {
            sweep(store).await?;
            return Ok(rebuilt);
        }
        tokio::task::yield_now().await;
    }
    Err(StoreError::Contended.into())
}

/// The consumer of one log, and the log.
type Reader = (Consumer, Arc<dyn LogReader>);

/// A generation's consumer; every generation has its own, so two rebuilds never share a cursor.
fn name(generation: i64) -> String {
    format!("view.rebuild.{generation}")
}

fn readers(deps: &Deps, mine: i64) -> Result<Vec<Reader>, Status> {
    let mut readers = Vec::new();
    for producer in crate::context().listens_to() {
        let log = deps.logs.get(&producer).ok_or_else(log_unavailable)?;
        let consumer = Consumer::of_views(
            name(mine),
            LogId::of(producer),
            deps.store.clone(),
            log.clone(),
            views::list(Target::Generation(mine)),
        );
        readers.push((consumer, log.clone()));
    }
    Ok(readers)
}

/// Begins a generation; a rebuild that is under way elsewhere, or was and died, ends with it.
async fn begin(store: &Store) -> Result<i64, StoreError> {
    store
        .transact(|unit| {
            Box::pin(async move {
                let before = generation::current(unit.conn()).await?.building;
                unit.forget(&name(before)).await?;
                generation::begin(unit.conn(), before).await
            })
        })
        .await
}

/// Removes the rows of generations that are of no use any more, a few at a time.
async fn sweep(store: &Store) -> Result<(), StoreError> {
    let chunk =
        || store.transact(|unit| Box::pin(async move { generation::sweep(unit.conn()).await }));
    while chunk().await? {}
    Ok(())
}

/// Goes as far as the live views have come, and fetches what they may take next.
async fn catch_up(
    store: &Store,
    readers: &[Reader],
) -> Result<Vec<(Consumer, Vec<Recorded>)>, ConsumeError> {
    for (consumer, _) in readers {
        let producer = consumer.producer().clone();
        let live = store.cursor(LIVE.to_owned(), producer).await?;
        consumer.consume(Signal::Head(live)).await?;
    }
    let mut fetched = Vec::with_capacity(readers.len());
    for (consumer, log) in readers {
        let events = log.read(consumer.cursor().await?, AHEAD).await?;
        fetched.push((consumer.clone(), events));
    }
    Ok(fetched)
}

/// Takes the place of the live views; None if they have gone on beyond what was fetched.
async fn take_over(
    store: &Store,
    mine: i64,
    fetched: Vec<(Consumer, Vec<Recorded>)>,
) -> Result<Option<Rebuilt>, ConsumeError> {
    let fetched = Arc::new(fetched);
    store
        .transact(move |unit| {
            let fetched = fetched.clone();
            Box::pin(async move { take_over_in(unit, mine, &fetched).await })
        })
        .await
}

async fn take_over_in(
    unit: &mut UnitOfWork<'_>,
    mine: i64,
    fetched: &[(Consumer, Vec<Recorded>)],
) -> Result<Option<Rebuilt>, ConsumeError> {
    // Held first: from here on the live consumer waits.
    let mut events = 0;
    for (consumer, ahead) in fetched {
        let producer = consumer.producer();
        let live = unit.hold_cursor(LIVE, producer).await?;
        let here = unit.hold_cursor(&name(mine), producer).await?;
        let between: Vec<_> = ahead
            .iter()
            .filter(|event| event.seq > here && event.seq <= live)
            .cloned()
            .collect();
        if between.last().map_or(here, |last| last.seq) != live {
            return Ok(None);
        }
        if here < live {
            consumer.take_in(unit, here, live, &between).await?;
        }
        events += live;
    }
    let Generations { live, building } = generation::current(unit.conn()).await?;
    if building != mine {
        return Err(ConsumeError::Fenced);
    }
    let before = generation::digest(unit.conn(), live).await?;
    let digest = generation::digest(unit.conn(), mine).await?;
    unit.replace(LIVE, &name(mine)).await?;
    generation::swap(unit.conn(), live, mine).await?;
    Ok(Some(Rebuilt {
        events,
        equal: before == digest,
        digest,
    }))
}

fn log_unavailable() -> Status {
    unavailable(
        "LOG_UNAVAILABLE",
        "a log that is needed cannot be read right now",
    )
}

fn failed(error: ConsumeError) -> Status {
    match error {
        // A newer rebuild has begun elsewhere.
        ConsumeError::Fenced => running(),
        ConsumeError::Store(error) => error.into(),
        ConsumeError::Log(_) | ConsumeError::Fault(_) | ConsumeError::Spoilt => {
            tracing::warn!(error = %error, "rebuild failed");
            log_unavailable()
        }
    }
}
