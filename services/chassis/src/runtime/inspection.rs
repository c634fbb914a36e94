//! How a process is, for whoever operates it: the service that every process has on its admin port.
//!
//! It answers whatever does not: a store or a bus that hangs is waited for a moment and then told of.

use std::{
    collections::BTreeMap,
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
    domain::log_id::LogId,
    messaging::bus::Bus,
    runtime::context_runtime::ContextRuntime,
    server::health::Health,
    store::{StoreError, Survey},
};

/// How long a store is waited for.
const STORE_PATIENCE: Duration = Duration::from_millis(1200);
/// How long the bus is waited for.
const BUS_PATIENCE: Duration = Duration::from_millis(300);

/// Tells how a process is. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Inspection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    process: String,
    instance: Uuid,
    clock: Clock,
    began: Timestamp,
    health: Health,
    work: OnceLock<Work>,
}

/// What there is to tell of once the stores are open.
#[derive(Debug)]
struct Work {
    sites: Vec<ContextRuntime>,
    peers: Peers,
    bus: Arc<dyn Bus>,
}

impl Inspection {
    /// The inspection of a process that starts now.
    pub(super) fn new(process: &str, health: &Health, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            process: process.to_owned(),
            instance: random::id(),
            began: clock.now(),
            clock,
            health: health.clone(),
            work: OnceLock::new(),
        }))
    }

    /// Brings what there is to tell of, once.
    pub(super) fn open(&self, sites: &[ContextRuntime], peers: &Peers, bus: &Arc<dyn Bus>) {
        let mut sites = sites.to_vec();
        sites.sort_by_key(|site| site.context.name);
        // Only the first call counts.
        let _ = self.0.work.set(Work {
            sites,
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
            start_time: Some(to_proto(inner.began)),
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
        let mut answer = InspectResponse::default();
        if let Some(work) = self.0.work.get() {
            answer.contexts = join_all(work.sites.iter().map(context)).await;
            answer.peers = work.peers.inspect();
            answer.bus = Some(bus(&*work.bus, self.0.clock.now()));
        }
        // Last, so that its clock is that of the answer.
        answer.process = Some(self.process());
        Ok(Response::new(answer))
    }
}

async fn context(site: &ContextRuntime) -> inspection::Context {
    let store = &site.deps.store;
    let end = Instant::now() + STORE_PATIENCE;
    let schema = in_time(end, store.schema()).await;
    let surveyed = match &schema {
        Ok(schema) if schema.missing.is_empty() => {
            let survey = async { Ok((store.survey().await?, store.unnumbered().await?)) };
            in_time(end, survey).await
        }
        // There are no tables to be read, or nobody to read them.
        Ok(_) => Err(String::new()),
        Err(error) => Err(error.clone()),
    };
    let schema = schema.unwrap_or_default();
    let producers = site.context.listens_to();
    let is_missing = |producer: &String| !site.deps.logs.contains_key(producer);
    let told = inspection::Context {
        context: site.context.name.to_owned(),
        store: Some(inspection::Store {
            engine: store.engine().into(),
            writable: !store.is_failing(),
            fence_reason: store
                .fenced()
                .map(|fence| fence.to_string())
                .unwrap_or_default(),
            needed_migrations: schema.needed,
            missing_migrations: schema.missing,
            ..inspection::Store::default()
        }),
        leads: site.leads(),
        missing_producers: producers.into_iter().filter(is_missing).collect(),
        ..inspection::Context::default()
    };
    match surveyed {
        Ok((survey, unnumbered)) => inspection::Context {
            log: Some(event_log(site, &survey, unnumbered).await),
            consumers: consumers(site, &survey),
            dead_letters: dead_letters(&survey),
            due: Some(inspection::Due {
                count: survey.due,
                longest_due_time: survey.due_since.map(to_proto),
            }),
            ..told
        },
        Err(error) => {
            let consumers = site.consumers.iter();
            inspection::Context {
                consumers: consumers.map(|consumer| consumer.inspect(None)).collect(),
                store: told.store.map(|store| inspection::Store { error, ..store }),
                ..told
            }
        }
    }
}

/// What a store answers, or why it does not.
async fn in_time<T>(
    end: Instant,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, String> {
    match timeout_at(end, work).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err("it does not answer".to_owned()),
    }
}

async fn event_log(
    site: &ContextRuntime,
    survey: &Survey,
    unnumbered: i64,
) -> inspection::EventLog {
    let log = LogId::of(site.context.name);
    let known = timeout(BUS_PATIENCE, site.bus.known(&log)).await;
    inspection::EventLog {
        head: survey.log.head,
        missing: i32::try_from(survey.log.missing).unwrap_or(i32::MAX),
        handed_over: known.ok().and_then(Result::ok),
        unnumbered,
    }
}

fn consumers(site: &ContextRuntime, survey: &Survey) -> Vec<inspection::Consumer> {
    let cursors: BTreeMap<(&str, &str), i64> = survey
        .cursors
        .iter()
        .map(|(consumer, producer, seq)| ((&**consumer, &**producer), *seq))
        .collect();
    let told = site.consumers.iter().map(|consumer| {
        let place = (consumer.name(), consumer.producer().context());
        consumer.inspect(Some(cursors.get(&place).copied().unwrap_or(0)))
    });
    told.collect()
}

fn dead_letters(survey: &Survey) -> Vec<inspection::DeadLetters> {
    let letters = survey
        .letters
        .iter()
        .map(|letters| inspection::DeadLetters {
            consumer: letters.consumer.clone(),
            producer: letters.producer.clone(),
            waiting: letters.waiting,
            parked: letters.parked,
            oldest_event_time: Some(to_proto(letters.oldest)),
        });
    letters.collect()
}

fn bus(bus: &dyn Bus, now: Timestamp) -> inspection::Bus {
    let beats = bus.beats().into_iter();
    inspection::Bus {
        kind: bus.kind().into(),
        connected: bus.is_connected(),
        heartbeats: beats
            .map(|beat| inspection::Heartbeat {
                producer: beat.log.to_string(),
                head: beat.head,
                hear_time: now.checked_sub(beat.ago).ok().map(to_proto),
            })
            .collect(),
    }
}
