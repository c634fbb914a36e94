//! The bus between processes: NATS JetStream.
//!
//! Each producing context has a stream, each consumer a durable consumer on it. The broker is fast, and only that: the
//! cursor of a consumer is in its own database, what the broker repeats is skipped, and what it lacks is read from the log
//! of the producer. So it may be away, come back empty or lose what it acknowledged: events come later, and all of them.
//!
//! What is held in memory is bounded: a feed asks for at most its batch, a subscription and the connection have
//! queues of a fixed length, and what does not fit is dropped, because the log has it.

mod cloudevents;
mod connection;
mod publisher;
mod read_back;
mod settings;
mod streams;
mod subjects;
mod subscription;
mod wake;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{Client, jetstream};
use berth::inspection::v1::BusKind;
use futures::future::BoxFuture;
use tokio::time::Instant;

pub use crate::messaging::jetstream::{
    settings::{NatsError, NatsSettings},
    subjects::Permissions,
};
use crate::{
    domain::{event::Recorded, log_id::LogId},
    messaging::{
        bus::{Beat, Bus, BusError, Feed},
        jetstream::{subjects::Names, subscription::JetFeed, wake::Wakes},
        log_reader::LogReader,
    },
};

/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// At most so many events are on their way to the broker.
const ON_THE_WAY: usize = 1024;

/// The bus over NATS JetStream. Clones are the same bus.
#[derive(Clone, Debug)]
pub struct JetStream(Arc<Broker>);

struct Broker {
    client: Client,
    js: jetstream::Context,
    names: Names,
    settings: NatsSettings,
    /// The logs that are asked when the broker says nothing, by context; those of this process among them.
    logs: BTreeMap<String, Arc<dyn LogReader>>,
    /// How far the broker knows each log of this process.
    published: Mutex<BTreeMap<LogId, i64>>,
    wakes: Wakes,
    /// The last sign of life of each producer that is listened to: how far its log had come, and when that was heard.
    heard: Mutex<BTreeMap<LogId, (i64, Instant)>>,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("names", &self.names)
            .field("connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}

impl JetStream {
    /// A bus that connects now or as soon as it can, for a process, over the logs of some contexts. Fails only if it was
    /// told what can never work.
    pub async fn connect(
        settings: &NatsSettings,
        process: &str,
        logs: BTreeMap<String, Arc<dyn LogReader>>,
    ) -> Result<Self, NatsError> {
        let client = connection::connect(settings, process).await?;
        let names = Names(settings.nats_prefix.clone());
        let js = jetstream::context::ContextBuilder::new()
            .timeout(PATIENCE)
            .ack_timeout(PATIENCE)
            .max_ack_inflight(ON_THE_WAY)
            .build(client.clone());
        Ok(Self(Arc::new(Broker {
            js,
            wakes: Wakes::new(client.clone(), names.clone()),
            client,
            names,
            settings: settings.clone(),
            logs,
            published: Mutex::default(),
            heard: Mutex::default(),
        })))
    }

    /// Waits for the connection, for as long as a connection may take. For those who cannot do without.
    pub async fn connected(&self) -> Result<(), BusError> {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        let wait = async {
            while !self.0.is_connected() {
                looks.tick().await;
            }
        };
        let _ = tokio::time::timeout(5 * PATIENCE, wait).await;
        self.0.reach()
    }

    /// Makes what a context needs at the broker, or changes it to what it should be: its stream, and its consumers, by
    /// name and log. Answers what is there now. A repeat changes nothing.
    pub async fn provision(
        &self,
        context: &str,
        consumers: &[(String, LogId)],
    ) -> Result<Vec<String>, BusError> {
        self.0.provision(context, consumers).await
    }

    /// What the user of a context must be allowed at the broker, and nothing else.
    pub fn permissions(
        settings: &NatsSettings,
        context: &str,
        consumers: &[(String, LogId)],
    ) -> Permissions {
        Names(settings.nats_prefix.clone()).permissions(context, consumers)
    }
}

impl Bus for JetStream {
    fn known(&self, log: &LogId) -> BoxFuture<'_, Result<i64, BusError>> {
        let log = log.clone();
        Box::pin(async move { self.0.known(&log).await })
    }

    fn carries_events(&self) -> bool {
        true
    }

    fn publish(
        &self,
        log: LogId,
        events: Vec<Recorded>,
        head: i64,
    ) -> BoxFuture<'_, Result<(), BusError>> {
        Box::pin(self.0.publish(log, events, head))
    }

    fn subscribe(
        &self,
        log: LogId,
        consumer: &str,
    ) -> BoxFuture<'_, Result<Box<dyn Feed>, BusError>> {
        let feed = JetFeed::new(self.0.clone(), log, consumer.to_owned());
        Box::pin(async move { Ok(Box::new(feed.begin().await) as Box<dyn Feed>) })
    }

    fn read_back(
        &self,
        log: &LogId,
        after: i64,
        to: i64,
    ) -> BoxFuture<'_, Result<Vec<Recorded>, BusError>> {
        let log = log.clone();
        Box::pin(async move { self.0.read_back(&log, after, to).await })
    }

    fn forget(&self, context: &str) {
        self.0.published().retain(|log, _| log.context() != context);
    }

    fn beat(&self, log: &LogId, head: i64) -> BoxFuture<'_, ()> {
        let log = log.clone();
        Box::pin(async move { self.0.beat(&log, head).await })
    }

    fn wake(&self, context: &str) {
        if self.0.is_connected() {
            self.0.wakes.tell(context);
        }
    }

    fn woken(&self, context: &str) -> BoxFuture<'_, ()> {
        let news = self.0.wakes.hear(context);
        Box::pin(async move { news.notified().await })
    }

    fn is_connected(&self) -> bool {
        self.0.is_connected()
    }

    fn kind(&self) -> BusKind {
        BusKind::Jetstream
    }

    fn beats(&self) -> Vec<Beat> {
        let heard = self.0.heard.lock();
        let heard = heard.unwrap_or_else(PoisonError::into_inner);
        let beats = heard.iter().map(|(log, (head, at))| Beat {
            log: log.clone(),
            head: *head,
            ago: at.elapsed(),
        });
        beats.collect()
    }
}
