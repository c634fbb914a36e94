//! Whether the policies and views of a context can apply an event.
use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Result, ensure};
use chassis::{
    Cause, Clock, Context, Recorded, Timestamp,
    base::{clock::ManualClock, faults::Faults},
    client::peers::Peers,
    domain::{digest::LogDigest, position::Position},
    messaging::{
        bus::Signal,
        in_process::InProcess,
        log_reader::{LogError, LogReader},
    },
    runtime::{
        context::producer_of,
        context_runtime::{ContextRuntime, Wiring},
        stores::open_store,
    },
    store::projections::ProjectionError,
};
use futures::future::{BoxFuture, ready};
use prost_reflect::{DynamicMessage, ReflectMessage, prost::Message};
use uuid::Uuid;

use crate::samples::subject;

/// An event as it is on the log of its context.
pub fn recorded(event: &DynamicMessage) -> Result<Recorded> {
    let event_type = event.descriptor().full_name().to_owned();
    let at: Timestamp = "2030-06-15T12:00:00Z".parse()?;
    let name = |what: &str| Uuid::new_v5(&Uuid::NAMESPACE_OID, what.as_bytes()).to_string();
    let mut recorded = Recorded {
        producer: producer_of(&event_type).unwrap_or_default().to_owned(),
        seq: 1,
        digest: LogDigest::default(),
        id: name("event"),
        subject: subject(event)
            .ok()
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| name("subject")),
        version: 1,
        at,
        data: event.encode_to_vec().into(),
        cause: Cause::by(name("customer_id")),
        event_type,
    };
    recorded.digest = recorded.digest_after(LogDigest::default());
    Ok(recorded)
}

/// Lets a context with an empty store consume an event. Returns why its policies and views could not apply it; a refusal, which
/// means "not yet", is not a fault.
pub async fn consume(context: Context, event: Recorded) -> Result<Vec<String>> {
    let dir = tempfile::tempdir()?;
    let clock = Clock::Manual(ManualClock::new(event.at));
    let store = open_store(&context, dir.path(), clock, Faults::default()).await?;
    let log: Arc<dyn LogReader> = Arc::new(Log(event.clone()));
    let wiring = Wiring {
        peers: Peers::new(),
        logs: Arc::new(BTreeMap::from([(event.producer.clone(), log)])),
        bus: InProcess::new(),
        settings: chassis::runtime::settings::Settings::default(),
    };
    let mut wrong = Vec::new();
    if event.producer == context.name {
        // Views of a context's own events are written in the transaction that causes them.
        let views = context.views.clone();
        let shown = event.clone();
        let done: Result<(), ProjectionError> = store
            .transact(move |unit| {
                let (views, event) = (views.clone(), shown.clone());
                Box::pin(async move { views.show(unit.conn(), &event).await })
            })
            .await;
        wrong.extend(done.err().map(|error| error.to_string()));
    }
    let declared = context.consumers();
    let runtime = ContextRuntime::new(context, store.clone(), &wiring);
    for consumer in &runtime.consumers {
        let log = consumer.producer().clone();
        let known = declared.contains(&(consumer.name().clone(), log));
        ensure!(known, "{} is not declared to the broker", consumer.name());
        consumer
            .consume(Signal::HighWaterMark(mark(&event)))
            .await?;
        let cursor = consumer.cursor().await?;
        ensure!(
            cursor.at == mark(&event),
            "{} stays behind",
            consumer.name()
        );
    }
    let dead_letters = store.dead_letters(Default::default(), 100).await?;
    let reasons = dead_letters.into_iter().map(|one| one.reason);
    wrong.extend(reasons.filter(|reason| !reason.starts_with("refused: ")));
    Ok(wrong
        .into_iter()
        .map(|why| format!("{}: {why}", event.event_type))
        .collect())
}

/// A log with one event.
#[derive(Debug)]
struct Log(Recorded);

impl LogReader for Log {
    fn read(&self, after: i64, _limit: i64) -> BoxFuture<'_, Result<Vec<Recorded>, LogError>> {
        let events = [&self.0].into_iter().filter(|event| event.seq > after);
        Box::pin(ready(Ok(events.cloned().collect())))
    }

    fn high_water_mark(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        Box::pin(ready(Ok(mark(&self.0))))
    }
}

/// The position of an event that is the first of its log.
fn mark(event: &Recorded) -> Position {
    Position {
        seq: event.seq,
        digest: event.digest,
        ..Position::START
    }
}
