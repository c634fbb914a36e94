//! `InspectionService`: describes a process and its contexts to operators, on the admin port of every process.
//!
//! It responds even if a store or the bus hangs: after a short timeout it reports that.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use berth::inspection::v1::{
    self as inspection, InspectRequest, InspectResponse,
    inspection_service_server::InspectionService,
};
use futures::future::join_all;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::{
    base::{
        clock::Clock,
        random,
        time::{Timestamp, to_proto},
    },
    client::peers::Peers,
    domain::{log_id::LogId, position::Position},
    messaging::{bus::Bus, consumer::Consumer},
    runtime::context_runtime::ContextRuntime,
    server::health::Health,
    store::{StoreError, Survey},
};

/// Timeout of a store.
const STORE_TIMEOUT: Duration = Duration::from_millis(1200);
/// Timeout of the bus.
const BUS_TIMEOUT: Duration = Duration::from_millis(300);

/// Describes a process. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Inspection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    process: String,
    instance: Uuid,
    clock: Clock,
    started: Timestamp,
    health: Health,
    parts: OnceLock<Parts>,
}

/// The parts of a process that exist once its stores are open.
#[derive(Debug)]
struct Parts {
    contexts: Vec<ContextRuntime>,
    peers: Peers,
    bus: Arc<dyn Bus>,
}

impl Inspection {
    /// The inspection of a process that starts now.
    pub(super) fn new(process: &str, health: &Health, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            process: process.to_owned(),
            instance: random::id(),
            started: clock.now(),
            clock,
            health: health.clone(),
            parts: OnceLock::new(),
        }))
    }

    /// Sets the parts that exist once the stores are open.
    pub(super) fn open(&self, contexts: &[ContextRuntime], peers: &Peers, bus: &Arc<dyn Bus>) {
        let mut contexts = contexts.to_vec();
        contexts.sort_by_key(|context| context.context.name);
        // Only the first call counts.
        let _ = self.0.parts.set(Parts {
            contexts,
            peers: peers.clone(),
            bus: bus.clone(),
        });
    }

    fn process(&self) -> inspection::Process {
        let inner = &self.0;
        let not_ready_reasons = inner.health.why_not();
        inspection::Process {
            process: inner.process.clone(),
            instance: inner.instance.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            start_time: Some(to_proto(inner.started)),
            current_time: Some(to_proto(inner.clock.now())),
            ready: not_ready_reasons.is_empty(),
            not_ready_reasons,
        }
    }
}

#[tonic::async_trait]
impl InspectionService for Inspection {
    async fn inspect(
        &self,
        _: Request<InspectRequest>,
    ) -> Result<Response<InspectResponse>, Status> {
        let mut response = InspectResponse::default();
        if let Some(parts) = self.0.parts.get() {
            response.contexts = join_all(parts.contexts.iter().map(context)).await;
            response.peers = parts.peers.inspect();
            response.bus = Some(bus(&*parts.bus, self.0.clock.now()));
        }
        // Last, so that its time is that of the response.
        response.process = Some(self.process());
        Ok(Response::new(response))
    }
}

async fn context(runtime: &ContextRuntime) -> inspection::Context {
    let store = &runtime.deps.store;
    let deadline = Instant::now() + STORE_TIMEOUT;
    let mut described = inspection::Context {
        context: runtime.context.name.to_owned(),
        leads: runtime.leads(),
        missing_producers: missing_producers(runtime),
        ..inspection::Context::default()
    };
    let mut described_store = inspection::Store {
        engine: store.engine().into(),
        writable: !store.is_failing(),
        fence_reason: store
            .fenced()
            .map(|fence| fence.to_string())
            .unwrap_or_default(),
        ..inspection::Store::default()
    };
    let mut survey = None;
    match within(deadline, store.schema()).await {
        Ok(schema) => {
            // Without its migrations the store has no tables to read.
            if schema.missing.is_empty() {
                let read = async { Ok((store.survey().await?, store.unnumbered().await?)) };
                match within(deadline, read).await {
                    Ok(read) => survey = Some(read),
                    Err(error) => described_store.error = error,
                }
            }
            described_store.needed_migrations = schema.needed;
            described_store.missing_migrations = schema.missing;
        }
        Err(error) => described_store.error = error,
    }
    described.store = Some(described_store);
    described.consumers = consumers(runtime, survey.as_ref().map(|(survey, _)| survey));
    if let Some((survey, unnumbered)) = survey {
        described.log = Some(event_log(runtime, &survey, unnumbered).await);
        described.due = Some(inspection::Due {
            count: survey.due,
            longest_due_time: survey.due_since.map(to_proto),
        });
        described.dead_letters = dead_letters(survey);
    }
    described
}

fn missing_producers(runtime: &ContextRuntime) -> Vec<String> {
    let mut producers = runtime.context.listens_to();
    producers.retain(|producer| !runtime.deps.logs.contains_key(producer));
    producers
}

/// Reads from a store until a deadline. Returns why it failed if it did.
async fn within<T>(
    deadline: Instant,
    read: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, String> {
    match timeout_at(deadline, read).await {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(_) => Err("the store does not respond".to_owned()),
    }
}

async fn event_log(
    runtime: &ContextRuntime,
    survey: &Survey,
    unnumbered: i64,
) -> inspection::EventLog {
    let log = LogId::of(runtime.context.name);
    let published = timeout(BUS_TIMEOUT, runtime.bus.high_water_mark(&log)).await;
    inspection::EventLog {
        head: survey.log.head.seq,
        epoch: survey.log.head.epoch,
        digest: survey.log.head.digest.as_bytes().to_vec().into(),
        missing: i32::try_from(survey.log.missing).unwrap_or(i32::MAX),
        published: published
            .ok()
            .and_then(Result::ok)
            .map(|position| position.seq),
        unnumbered,
    }
}

/// The consumers of a context; their cursors are unknown without a survey.
fn consumers(runtime: &ContextRuntime, survey: Option<&Survey>) -> Vec<inspection::Consumer> {
    let cursor_of = |consumer: &Consumer, survey: &Survey| {
        let found = survey
            .cursors
            .iter()
            .find(|(name, producer, _)| name == consumer.name() && producer == consumer.producer());
        found.map_or(Position::START, |(_, _, cursor)| *cursor)
    };
    let consumers = runtime.consumers.iter();
    consumers
        .map(|consumer| consumer.inspect(survey.map(|survey| cursor_of(consumer, survey))))
        .collect()
}

fn dead_letters(survey: Survey) -> Vec<inspection::DeadLetters> {
    let letters = survey.letters.into_iter();
    letters
        .map(|letters| inspection::DeadLetters {
            consumer: letters.consumer.to_string(),
            producer: letters.producer.to_string(),
            waiting: letters.waiting,
            parked: letters.parked,
            oldest_event_time: Some(to_proto(letters.oldest)),
        })
        .collect()
}

fn bus(bus: &dyn Bus, now: Timestamp) -> inspection::Bus {
    let heartbeats = bus.heartbeats().into_iter();
    inspection::Bus {
        kind: bus.kind().into(),
        connected: bus.is_connected(),
        heartbeats: heartbeats
            .map(|heartbeat| inspection::Heartbeat {
                producer: heartbeat.log.to_string(),
                head: heartbeat.high_water_mark.seq,
                receive_time: now.checked_sub(heartbeat.age).ok().map(to_proto),
            })
            .collect(),
    }
}
