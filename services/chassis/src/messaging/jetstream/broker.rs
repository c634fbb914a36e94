//! The broker: the connection, the names in use there, and what is known about it.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_nats::{Client, connection::State, jetstream};

use crate::{
    domain::{log_id::LogId, position::Position},
    messaging::{
        bus::BusError,
        jetstream::{
            connection,
            connection::REQUEST_TIMEOUT,
            heartbeats::Heartbeats,
            settings::{NatsError, NatsSettings},
            subjects::Names,
            wake::Wakes,
        },
        log_reader::LogReader,
    },
};

/// Maximum number of published events that are not acknowledged yet.
const MAX_IN_FLIGHT: usize = 1024;

/// The broker, as used by the contexts of this process.
pub(super) struct Broker {
    pub(super) client: Client,
    pub(super) js: jetstream::Context,
    pub(super) names: Names,
    pub(super) settings: NatsSettings,
    /// The logs by context, those of this process included. They are read when the broker is silent.
    pub(super) logs: BTreeMap<String, Arc<dyn LogReader>>,
    pub(super) wakes: Wakes,
    pub(super) heartbeats: Heartbeats,
    published: Mutex<BTreeMap<LogId, Position>>,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("names", &self.names)
            .field("connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}

impl Broker {
    pub(super) async fn connect(
        settings: &NatsSettings,
        process: &str,
        logs: BTreeMap<String, Arc<dyn LogReader>>,
    ) -> Result<Self, NatsError> {
        let client = connection::connect(settings, process).await?;
        let names = Names(settings.nats_prefix.clone());
        let js = jetstream::context::ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .ack_timeout(REQUEST_TIMEOUT)
            .max_ack_inflight(MAX_IN_FLIGHT)
            .build(client.clone());
        Ok(Self {
            js,
            wakes: Wakes::default(),
            client,
            names,
            settings: settings.clone(),
            logs,
            heartbeats: Heartbeats::default(),
            published: Mutex::default(),
        })
    }

    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Fails at once while the broker is away, so that nothing waits for it.
    pub(super) fn ensure_connected(&self) -> Result<(), BusError> {
        if self.is_connected() {
            Ok(())
        } else {
            Err(BusError("NATS is not connected".into()))
        }
    }

    /// Sends a message that is not stored. It is dropped while the broker is away or hangs.
    pub(super) async fn send(&self, subject: String, payload: String) {
        if self.is_connected() {
            let sent = self.client.publish(subject, payload.into());
            let _ = tokio::time::timeout(REQUEST_TIMEOUT, sent).await;
        }
    }

    /// The cached high-water marks of the logs that this process publishes.
    pub(super) fn published(&self) -> MutexGuard<'_, BTreeMap<LogId, Position>> {
        let published = self.published.lock();
        published.unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error of the broker.
pub(super) fn failed(error: impl fmt::Display) -> BusError {
    BusError(error.to_string())
}
