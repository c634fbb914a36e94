//! Streams and consumers at the broker. A process creates missing ones; `provision` also updates existing ones.

use std::time::Duration;

use async_nats::jetstream::{
    ErrorCode,
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    context::GetStreamErrorKind,
    stream::{Config, DiscardPolicy, StorageType},
};

use crate::{
    domain::{consumer_name::ConsumerName, log_id::LogId},
    messaging::{
        bus::BusError,
        jetstream::{
            broker::{Broker, failed},
            subjects::Names,
        },
    },
};

/// Time after which the broker redelivers a message that was not acknowledged.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// Maximum number of delivered messages that are not acknowledged yet.
const MAX_ACK_PENDING: i64 = 1024;
/// Period in which the broker drops a message with the same id.
const DUPLICATE_WINDOW: Duration = Duration::from_mins(2);

impl Broker {
    /// The configuration of the stream of a context.
    fn stream_config(&self, context: &str) -> Config {
        let settings = &self.settings;
        Config {
            name: self.names.stream(context),
            description: Some(format!("Events of {context}. Its log is the truth.")),
            subjects: vec![self.names.events(context)],
            storage: StorageType::File,
            discard: DiscardPolicy::Old,
            max_age: settings.nats_max_age,
            max_bytes: settings.nats_max_bytes,
            num_replicas: settings.nats_replicas.into(),
            duplicate_window: DUPLICATE_WINDOW.min(settings.nats_max_age),
            ..Config::default()
        }
    }

    /// The configuration of a durable consumer. It starts with the events published from now on; earlier ones are read from
    /// the log.
    fn consumer_config(&self, consumer: &ConsumerName, log: &LogId) -> pull::Config {
        pull::Config {
            durable_name: Some(Names::durable(consumer)),
            description: Some(format!("{consumer} consumes {}", log.context())),
            filter_subject: self.names.events(log.context()),
            deliver_policy: DeliverPolicy::New,
            ack_policy: AckPolicy::All,
            ack_wait: ACK_WAIT,
            max_ack_pending: MAX_ACK_PENDING,
            ..pull::Config::default()
        }
    }

    /// Creates the stream of a context if it does not exist.
    pub(super) async fn ensure_stream(&self, context: &str) -> Result<(), BusError> {
        let found = self.js.get_stream(self.names.stream(context)).await;
        match found.map_err(|error| error.kind()) {
            Ok(_) => Ok(()),
            Err(GetStreamErrorKind::JetStream(error))
                if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                let created = self.js.create_stream(self.stream_config(context)).await;
                created.map_err(failed)?;
                tracing::info!(context, "stream created");
                Ok(())
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// The durable consumer, created if it does not exist.
    pub(super) async fn consumer(
        &self,
        consumer: &ConsumerName,
        log: &LogId,
    ) -> Result<PullConsumer, BusError> {
        let (stream, durable) = (self.names.stream(log.context()), Names::durable(consumer));
        if let Ok(found) = self.js.get_consumer_from_stream(&durable, &stream).await {
            return Ok(found);
        }
        let created = self
            .js
            .create_consumer_on_stream(self.consumer_config(consumer, log), &stream);
        let created = created.await.map_err(failed)?;
        tracing::info!(%consumer, producer = log.context(), "consumer created");
        Ok(created)
    }

    /// Creates or updates the stream of a context and its consumers on the streams of other contexts.
    pub(super) async fn provision(
        &self,
        context: &str,
        consumers: &[(ConsumerName, LogId)],
    ) -> Result<Vec<String>, BusError> {
        let stream = self.stream_config(context);
        let mut done = vec![format!("stream {}", stream.name)];
        self.js
            .create_or_update_stream(stream)
            .await
            .map_err(failed)?;
        for (consumer, log) in consumers {
            let stream = self.names.stream(log.context());
            let durable = Names::durable(consumer);
            let mut config = self.consumer_config(consumer, log);
            if let Ok(found) = self
                .js
                .get_consumer_from_stream::<pull::Config, _, _>(&durable, &stream)
                .await
            {
                // The start of a consumer cannot be changed.
                config.deliver_policy = found.cached_info().config.deliver_policy;
            }
            match self.js.create_consumer_on_stream(config, &stream).await {
                Ok(_) => done.push(format!("consumer {durable} of {stream}")),
                Err(error) if is_missing_stream(&error) => {
                    done.push(format!("consumer {durable} waits for {stream}"));
                }
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(done)
    }
}

fn is_missing_stream(error: &async_nats::jetstream::stream::ConsumerError) -> bool {
    use async_nats::jetstream::stream::ConsumerErrorKind::JetStream;
    matches!(error.kind(), JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}
