//! Rebuilds the views from the logs, beside the live ones, and then replaces those.
//!
//! A rebuild is a consumer with a name, cursors, dead letters and a generation of rows of its own. When its cursors
//! reach those of the live consumer, one transaction compares the rows of the two and gives cursors, dead letters and
//! rows to the live consumer. Cursors and rows switch together, so no event is lost or applied twice. If the process
//! dies before, the live views are unchanged and the next rebuild starts from the beginning.

use std::sync::Arc;

use chassis::{
    Deps, Kind, Store, StoreError,
    domain::{consumer_name::ConsumerName, event::Recorded, log_id::LogId},
    error::status::{status, unavailable},
    messaging::{
        bus::Signal, consume_error::ConsumeError, consumer::Consumer, log_reader::LogReader,
    },
    store::UnitOfWork,
};
use tonic::Status;

use crate::views::{
    self, Target,
    generation::{self, Generations},
};

/// The context, as its consumers are named.
const CONTEXT: &str = "view";

/// Maximum number of events read ahead for the last transaction, which must not read a log itself.
const READ_AHEAD: i64 = 1024;
/// How often the switch is attempted while the live consumer advances.
const ATTEMPTS: u32 = 1000;

/// The result of a rebuild.
#[derive(Clone, Debug)]
pub(crate) struct Rebuilt {
    /// Number of events that were read.
    pub(crate) events: i64,
    /// Whether the rebuilt rows equal the live ones.
    pub(crate) is_equal: bool,
    /// Digest of the rebuilt rows.
    pub(crate) digest: String,
}

/// The error while another rebuild runs.
pub(crate) fn already_running() -> Status {
    status(
        Kind::Aborted,
        "REBUILD_RUNNING",
        "another rebuild is running",
    )
}

/// Rebuilds the views from the logs of the producers.
pub(crate) async fn rebuild(deps: &Deps, producers: &[String]) -> Result<Rebuilt, Status> {
    let store = &deps.store;
    let generation = begin(store).await?;
    sweep(store).await?;
    let readers = readers(deps, producers, generation)?;
    for _ in 0..ATTEMPTS {
        let read_ahead = catch_up(store, &readers).await.map_err(failed)?;
        let switched = match switch(store, generation, read_ahead).await {
            // An event read ahead fails. The next round applies it on its own, and it becomes a dead letter.
            Err(ConsumeError::EventFailed(_)) => None,
            switched => switched.map_err(failed)?,
        };
        if let Some(rebuilt) = switched {
            sweep(store).await?;
            return Ok(rebuilt);
        }
        tokio::task::yield_now().await;
    }
    Err(StoreError::Contended.into())
}

/// The consumer of a log, and the log.
type Reader = (Consumer, Arc<dyn LogReader>);

/// The consumer of a log, and events that it has read but not applied.
type ReadAhead = (Consumer, Vec<Recorded>);

/// The consumer of the live views.
fn live_consumer() -> ConsumerName {
    ConsumerName::of_views(CONTEXT)
}

/// The consumer of a generation. Each generation has its own, so two rebuilds never share a cursor.
fn consumer_of(generation: i64) -> ConsumerName {
    ConsumerName::of_rebuild(CONTEXT, generation)
}

fn readers(deps: &Deps, producers: &[String], generation: i64) -> Result<Vec<Reader>, Status> {
    let mut readers = Vec::new();
    for producer in producers {
        let log = deps.logs.get(producer).ok_or_else(log_unavailable)?;
        let consumer = Consumer::of_views(
            consumer_of(generation),
            LogId::of(producer),
            deps.store.clone(),
            log.clone(),
            views::list(Target::Generation(generation)),
        );
        readers.push((consumer, log.clone()));
    }
    Ok(readers)
}

/// Begins a generation. Ends a rebuild that runs in another process or died.
async fn begin(store: &Store) -> Result<i64, StoreError> {
    store
        .transact(|unit| {
            Box::pin(async move {
                let before = generation::current(unit.conn()).await?.building;
                unit.forget(&consumer_of(before)).await?;
                generation::begin(unit.conn(), before).await
            })
        })
        .await
}

/// Deletes the rows of obsolete generations, in transactions of bounded size.
async fn sweep(store: &Store) -> Result<(), StoreError> {
    let chunk =
        || store.transact(|unit| Box::pin(async move { generation::sweep(unit.conn()).await }));
    while chunk().await? {}
    Ok(())
}

/// Consumes up to the cursors of the live views, and reads some events ahead.
async fn catch_up(store: &Store, readers: &[Reader]) -> Result<Vec<ReadAhead>, ConsumeError> {
    for (consumer, _) in readers {
        let producer = consumer.producer().clone();
        let live = store.cursor(live_consumer(), producer).await?;
        consumer.consume(Signal::HighWaterMark(live.at)).await?;
    }
    let mut read_ahead = Vec::with_capacity(readers.len());
    for (consumer, log) in readers {
        let events = log
            .read(consumer.cursor().await?.at.seq, READ_AHEAD)
            .await?;
        read_ahead.push((consumer.clone(), events));
    }
    Ok(read_ahead)
}

/// Replaces the live views. Returns `None` if the live consumer has advanced beyond the events read ahead.
async fn switch(
    store: &Store,
    generation: i64,
    read_ahead: Vec<ReadAhead>,
) -> Result<Option<Rebuilt>, ConsumeError> {
    let read_ahead = Arc::new(read_ahead);
    store
        .transact(move |unit| {
            let read_ahead = read_ahead.clone();
            Box::pin(async move { switch_in(unit, generation, &read_ahead).await })
        })
        .await
}

async fn switch_in(
    unit: &mut UnitOfWork<'_>,
    generation: i64,
    read_ahead: &[ReadAhead],
) -> Result<Option<Rebuilt>, ConsumeError> {
    // The live views and cursors are locked first: until the commit the live consumer applies no event, new or retried.
    let (live_name, name) = (live_consumer(), consumer_of(generation));
    unit.lock_views(&live_name).await?;
    let mut events = 0;
    for (consumer, ahead) in read_ahead {
        let producer = consumer.producer();
        let live = unit.hold_cursor(&live_name, producer).await?;
        let rebuilt = unit.hold_cursor(&name, producer).await?;
        let missing: Vec<_> = ahead
            .iter()
            .filter(|event| event.seq > rebuilt.at.seq && event.seq <= live.at.seq)
            .cloned()
            .collect();
        if missing.last().map_or(rebuilt.at.seq, |last| last.seq) != live.at.seq {
            return Ok(None);
        }
        if !missing.is_empty() {
            consumer.apply_in(unit, rebuilt, &missing).await?;
        }
        events += live.at.seq;
    }
    let Generations { live, building } = generation::current(unit.conn()).await?;
    if building != generation {
        return Err(ConsumeError::Fenced);
    }
    let before = generation::digest(unit.conn(), live).await?;
    let digest = generation::digest(unit.conn(), generation).await?;
    unit.replace(&live_name, &name).await?;
    generation::swap(unit.conn(), live, generation).await?;
    Ok(Some(Rebuilt {
        events,
        is_equal: before == digest,
        digest,
    }))
}

fn log_unavailable() -> Status {
    unavailable(
        "LOG_UNAVAILABLE",
        "the log of another context cannot be read at the moment",
    )
}

fn failed(error: ConsumeError) -> Status {
    match error {
        // A later rebuild has begun in another process.
        ConsumeError::Fenced => already_running(),
        ConsumeError::Store(error) => error.into(),
        ConsumeError::Log(_)
        | ConsumeError::Fault(_)
        | ConsumeError::EventFailed(_)
        | ConsumeError::OtherHistory => {
            tracing::warn!(error = %error, "rebuild failed");
            log_unavailable()
        }
    }
}
