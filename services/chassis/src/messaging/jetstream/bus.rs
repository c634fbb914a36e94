//! The JetStream implementation of the bus.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use berth::inspection::v1::BusKind;

use crate::{
    domain::{consumer_name::ConsumerName, event::Recorded, log_id::LogId, position::Position},
    messaging::{
        bus::{Bus, BusError, Heartbeat, Subscription},
        jetstream::{
            broker::Broker,
            connection::REQUEST_TIMEOUT,
            settings::{NatsError, NatsSettings},
            subjects::{Names, Permissions},
            subscription::JetStreamSubscription,
        },
        log_reader::LogReader,
    },
};

/// How often [`Bus::connected`] checks the connection.
const POLL: Duration = Duration::from_millis(20);

/// The bus over NATS JetStream. Clones are the same bus.
#[derive(Clone, Debug)]
pub struct JetStream(Arc<Broker>);

impl JetStream {
    /// Creates the bus of a process over the logs of some contexts. It connects now or as soon as the broker is there; it
    /// fails only if the settings can never work.
    pub async fn connect(
        settings: &NatsSettings,
        process: &str,
        logs: BTreeMap<String, Arc<dyn LogReader>>,
    ) -> Result<Self, NatsError> {
        let broker = Broker::connect(settings, process, logs).await?;
        Ok(Self(Arc::new(broker)))
    }

    /// Waits until the broker is connected, and fails if that takes too long.
    pub async fn await_connection(&self) -> Result<(), BusError> {
        let _ = tokio::time::timeout(5 * REQUEST_TIMEOUT, self.connected()).await;
        self.0.ensure_connected()
    }

    /// Creates or updates the stream of a context and its consumers, given by name and log. Returns a description of what
    /// exists now. A repeat changes nothing.
    pub async fn provision(
        &self,
        context: &str,
        consumers: &[(ConsumerName, LogId)],
    ) -> Result<Vec<String>, BusError> {
        self.0.provision(context, consumers).await
    }

    /// The minimal permissions of the user of a context at the broker.
    pub fn permissions(
        settings: &NatsSettings,
        context: &str,
        consumers: &[(ConsumerName, LogId)],
    ) -> Permissions {
        Names(settings.nats_prefix.clone()).permissions(context, consumers)
    }
}

#[tonic::async_trait]
impl Bus for JetStream {
    async fn high_water_mark(&self, log: &LogId) -> Result<Position, BusError> {
        self.0.high_water_mark(log).await
    }

    fn carries_events(&self) -> bool {
        true
    }

    async fn publish(
        &self,
        log: LogId,
        events: Vec<Recorded>,
        high_water_mark: Position,
    ) -> Result<(), BusError> {
        self.0.publish(log, events, high_water_mark).await
    }

    async fn subscribe(
        &self,
        log: LogId,
        consumer: &ConsumerName,
    ) -> Result<Box<dyn Subscription>, BusError> {
        let broker = self.0.clone();
        let subscription = JetStreamSubscription::start(broker, log, consumer.clone());
        Ok(Box::new(subscription.await))
    }

    async fn read_back(&self, log: &LogId, after: i64, to: i64) -> Result<Vec<Recorded>, BusError> {
        self.0.read_back(log, after, to).await
    }

    fn invalidate(&self, context: &str) {
        self.0.published().remove(&LogId::of(context));
    }

    async fn heartbeat(&self, log: &LogId, high_water_mark: Position) {
        let subject = self.0.names.heads(log);
        self.0.send(subject, high_water_mark.to_string()).await;
    }

    async fn notify_leader(&self, context: &str) {
        // A leader that misses a wake-up polls after a while.
        self.0.send(self.0.names.wake(context), String::new()).await;
    }

    async fn leader_notified(&self, context: &str) {
        let subject = self.0.names.wake(context);
        let wakes = self.0.wakes.received(&self.0.client, subject);
        wakes.notified().await;
    }

    async fn connected(&self) {
        let mut polls = tokio::time::interval(POLL);
        while !self.0.is_connected() {
            polls.tick().await;
        }
    }

    fn is_connected(&self) -> bool {
        self.0.is_connected()
    }

    fn kind(&self) -> BusKind {
        BusKind::Jetstream
    }

    fn heartbeats(&self) -> Vec<Heartbeat> {
        self.0.heartbeats.all()
    }
}
