//! Streams and consumers at the broker. A process makes what is missing; `provision` also changes what is different.

use std::time::Duration;

use async_nats::jetstream::{
    ErrorCode,
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    context::GetStreamErrorKind,
    stream::{Config, DiscardPolicy, StorageType},
};

use crate::{
    domain::log_id::LogId,
    messaging::{
        bus::BusError,
        jetstream::{Broker, subjects::Names},
    },
};

/// How long what was given may be without effect before the broker gives it again.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// At most so many messages are given that have no effect yet.
const WITHOUT_EFFECT: i64 = 1024;
/// How long the broker knows a message as a repeat.
const REPEATS: Duration = Duration::from_mins(2);

impl Broker {
    /// The stream of a context as it should be.
    fn stream(&self, context: &str) -> Config {
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
            duplicate_window: REPEATS.min(settings.nats_max_age),
            ..Config::default()
        }
    }

    /// What the broker remembers of a consumer. It begins with what is published from now on: what was before is read from
    /// the log by those who need it.
    fn durable(&self, consumer: &str, log: &LogId) -> pull::Config {
        pull::Config {
            durable_name: Some(Names::durable(consumer)),
            description: Some(format!("{consumer} hears {}", log.context())),
            filter_subject: self.names.events(log.context()),
            deliver_policy: DeliverPolicy::New,
            ack_policy: AckPolicy::All,
            ack_wait: ACK_WAIT,
            max_ack_pending: WITHOUT_EFFECT,
            ..pull::Config::default()
        }
    }

    /// Makes the stream of a context unless it is there.
    pub(super) async fn stream_is_there(&self, context: &str) -> Result<(), BusError> {
        let found = self.js.get_stream(self.names.stream(context)).await;
        match found.map_err(|error| error.kind()) {
            Ok(_) => Ok(()),
            Err(GetStreamErrorKind::JetStream(error))
                if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                let made = self.js.create_stream(self.stream(context)).await;
                made.map_err(failed)?;
                tracing::info!(context, "stream made");
                Ok(())
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// What the broker remembers of a consumer, made if it remembers nothing.
    pub(super) async fn consumer(
        &self,
        consumer: &str,
        log: &LogId,
    ) -> Result<PullConsumer, BusError> {
        let (stream, durable) = (self.names.stream(log.context()), Names::durable(consumer));
        if let Ok(found) = self.js.get_consumer_from_stream(&durable, &stream).await {
            return Ok(found);
        }
        let made = self
            .js
            .create_consumer_on_stream(self.durable(consumer, log), &stream);
        let made = made.await.map_err(failed)?;
        tracing::info!(consumer, producer = log.context(), "consumer made");
        Ok(made)
    }

    /// Makes or changes the stream of a context and the consumers that it has on the streams of others.
    pub(super) async fn provision(
        &self,
        context: &str,
        consumers: &[(String, LogId)],
    ) -> Result<Vec<String>, BusError> {
        let stream = self.stream(context);
        let mut done = vec![format!("stream {}", stream.name)];
        self.js
            .create_or_update_stream(stream)
            .await
            .map_err(failed)?;
        for (consumer, log) in consumers {
            let stream = self.names.stream(log.context());
            let durable = Names::durable(consumer);
            let mut config = self.durable(consumer, log);
            if let Ok(found) = self
                .js
                .get_consumer_from_stream::<pull::Config, _, _>(&durable, &stream)
                .await
            {
                // Where it began cannot be changed.
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

pub(super) fn failed(error: impl std::fmt::Display) -> BusError {
    BusError(error.to_string())
}
