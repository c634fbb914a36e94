//! Publishing: the events of a log are sent one after the other, and all acknowledgements are awaited together.

use async_nats::jetstream::{
    ErrorCode,
    context::PublishErrorKind,
    message::PublishMessage,
    stream::{LastRawMessageErrorKind, Stream},
};

use crate::{
    domain::{event::Recorded, log_id::LogId, position::Position},
    messaging::{
        bus::BusError,
        jetstream::{
            broker::{Broker, failed},
            cloudevents,
        },
    },
};

/// Maximum number of old events that are published to a broker that lacks them; consumers read older ones from the log.
const MAX_BACKLOG: i64 = 10_000;

impl Broker {
    /// The position of the last event of a log at the broker. It is requested once and then cached until publishing fails.
    pub(super) async fn high_water_mark(&self, log: &LogId) -> Result<Position, BusError> {
        if let Some(mark) = self.published().get(log) {
            return Ok(*mark);
        }
        self.ensure_connected()?;
        self.ensure_stream(log.context()).await?;
        // If the stream is ahead of the log, the log has lost events, and the caller must notice.
        let mut mark = self.last_in_stream(log).await?;
        if let Some(reader) = self.logs.get(log.context()) {
            let head = reader.high_water_mark().await.map_err(failed)?;
            let oldest = head.seq - MAX_BACKLOG;
            if oldest > mark.seq
                && let Some(event) = reader.read(oldest - 1, 1).await.map_err(failed)?.pop()
            {
                mark = Position {
                    seq: event.seq,
                    digest: event.digest,
                    ..head
                };
            }
        }
        self.published().insert(log.clone(), mark);
        Ok(mark)
    }

    /// The position of the last event in the stream.
    async fn last_in_stream(&self, log: &LogId) -> Result<Position, BusError> {
        let stream: Stream<()> = self
            .js
            .get_stream_no_info(self.names.stream(log.context()))
            .await
            .map_err(failed)?;
        let subject = self.names.events(log.context());
        match stream.get_last_raw_message_by_subject(&subject).await {
            Ok(last) => {
                let position = last.headers.get(cloudevents::POSITION);
                let position = position.and_then(|position| position.as_str().parse().ok());
                Ok(position.unwrap_or_default())
            }
            Err(error) => match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => Ok(Position::START),
                LastRawMessageErrorKind::JetStream(error)
                    if error.error_code() == ErrorCode::NO_MESSAGE_FOUND =>
                {
                    Ok(Position::START)
                }
                _ => Err(failed(error)),
            },
        }
    }

    /// Publishes events. Returns when the broker has acknowledged them all.
    pub(super) async fn publish(
        &self,
        log: LogId,
        events: Vec<Recorded>,
        high_water_mark: Position,
    ) -> Result<(), BusError> {
        let labels = [("context", log.to_string())];
        let count = u64::try_from(events.len()).unwrap_or(0);
        match self.publish_all(&log, events, high_water_mark.epoch).await {
            Ok(()) => {
                metrics::counter!("berth_bus_published_total", &labels).increment(count);
                self.published().insert(log, high_water_mark);
                Ok(())
            }
            Err(error) => {
                metrics::counter!("berth_bus_publish_errors_total", &labels).increment(1);
                // Some events may have arrived: ask the broker the next time.
                self.published().remove(&log);
                Err(error)
            }
        }
    }

    async fn publish_all(
        &self,
        log: &LogId,
        events: Vec<Recorded>,
        epoch: i64,
    ) -> Result<(), BusError> {
        self.ensure_connected()?;
        let stream = self.names.stream(log.context());
        let mut acks = Vec::with_capacity(events.len());
        for event in events {
            let subject = self.names.event(log, &event.event_type);
            let message = PublishMessage::build()
                .headers(cloudevents::headers(&event, epoch))
                .expected_stream(&stream)
                .payload(event.data);
            match self.js.send_publish(subject, message).await {
                Ok(ack) => acks.push(ack),
                // A retry would fail, too. Consumers notice the gap and read the event from the log.
                Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                    tracing::warn!(event.id = %event.id, "event too large for the broker");
                }
                Err(error) => return Err(failed(error)),
            }
        }
        for ack in acks {
            ack.await.map_err(failed)?;
        }
        Ok(())
    }
}
