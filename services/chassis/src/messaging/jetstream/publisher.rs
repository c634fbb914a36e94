//! Publishing: the events of a log go to the broker one after the other, and all their answers are awaited together.

use std::sync::PoisonError;

use async_nats::{
    connection::State,
    jetstream::{
        ErrorCode,
        context::PublishErrorKind,
        message::PublishMessage,
        stream::{LastRawMessageErrorKind, Stream},
    },
};

use crate::{
    domain::{event::Recorded, log_id::LogId},
    messaging::{
        bus::BusError,
        jetstream::{Broker, cloudevents, streams::failed},
    },
};

/// At most so many events are carried that the broker has not yet; older ones are read from the log.
const BEHIND: i64 = 10_000;

impl Broker {
    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// What needs the broker fails at once while it is away, and waits for nothing.
    pub(super) fn reach(&self) -> Result<(), BusError> {
        if self.is_connected() {
            Ok(())
        } else {
            Err(BusError("NATS is not connected".into()))
        }
    }

    /// How far the broker knows a log. Asked once and then remembered, until publishing fails.
    pub(super) async fn known(&self, log: &LogId) -> Result<i64, BusError> {
        if let Some(known) = self.published().get(log) {
            return Ok(*known);
        }
        self.reach()?;
        self.stream_is_there(log.context()).await?;
        let last = self.last(log).await?;
        let head = match self.logs.get(log.context()) {
            Some(reader) => reader.head().await.map_err(failed)?,
            None => last,
        };
        // If it holds more than there is, the log has gone back, and whoever asks must see that.
        let known = last.max(head - BEHIND);
        self.published().insert(log.clone(), known);
        Ok(known)
    }

    /// The last event that the stream holds, by its place in the log.
    async fn last(&self, log: &LogId) -> Result<i64, BusError> {
        let stream: Stream<()> = self
            .js
            .get_stream_no_info(self.names.stream(log.context()))
            .await
            .map_err(failed)?;
        let subject = self.names.events(log.context());
        match stream.get_last_raw_message_by_subject(&subject).await {
            Ok(last) => {
                let seq = last.headers.get(cloudevents::SEQUENCE);
                Ok(seq.and_then(|seq| seq.as_str().parse().ok()).unwrap_or(0))
            }
            Err(error) => match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => Ok(0),
                LastRawMessageErrorKind::JetStream(error)
                    if error.error_code() == ErrorCode::NO_MESSAGE_FOUND =>
                {
                    Ok(0)
                }
                _ => Err(failed(error)),
            },
        }
    }

    /// Publishes events, and answers when the broker has them all.
    pub(super) async fn publish(
        &self,
        log: LogId,
        events: Vec<Recorded>,
        head: i64,
    ) -> Result<(), BusError> {
        let labels = [("context", log.to_string())];
        let count = u64::try_from(events.len()).unwrap_or(0);
        match self.send(&log, events).await {
            Ok(()) => {
                metrics::counter!("berth_bus_published_total", &labels).increment(count);
                self.published().insert(log, head);
                Ok(())
            }
            Err(error) => {
                metrics::counter!("berth_bus_publish_errors_total", &labels).increment(1);
                // How much arrived is for the broker to say.
                self.published().remove(&log);
                Err(error)
            }
        }
    }

    async fn send(&self, log: &LogId, events: Vec<Recorded>) -> Result<(), BusError> {
        self.reach()?;
        let stream = self.names.stream(log.context());
        let mut answers = Vec::with_capacity(events.len());
        for event in events {
            let subject = self.names.event(log, &event.event_type);
            let message = PublishMessage::build()
                .headers(cloudevents::headers(&event))
                .expected_stream(&stream)
                .payload(event.data);
            match self.js.send_publish(subject, message).await {
                Ok(answer) => answers.push(answer),
                // It would never fit. The log has it, and its place in the sequence tells that it is missing.
                Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                    tracing::warn!(event.id = %event.id, "an event is too large for the broker");
                }
                Err(error) => return Err(failed(error)),
            }
        }
        for answer in answers {
            answer.await.map_err(failed)?;
        }
        Ok(())
    }

    /// Tells how far a log has come. What cannot be told now is told the next time.
    pub(super) async fn beat(&self, log: &LogId, head: i64) {
        if self.is_connected() {
            let told = self
                .client
                .publish(self.names.heads(log), head.to_string().into());
            // A broker that stands still must not hold up whoever beats.
            let _ = tokio::time::timeout(super::PATIENCE, told).await;
        }
    }

    pub(super) fn published(
        &self,
    ) -> std::sync::MutexGuard<'_, std::collections::BTreeMap<LogId, i64>> {
        self.published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
