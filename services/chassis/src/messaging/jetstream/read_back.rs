//! Reading back: the events that the stream still holds of a log that has lost its tail.

use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};

use crate::{
    domain::{event::Recorded, log_id::LogId},
    messaging::{
        bus::BusError,
        jetstream::{
            broker::{Broker, failed},
            cloudevents,
        },
    },
};

impl Broker {
    /// Returns the events of a log after a sequence number up to another one, last event first.
    pub(super) async fn read_back(
        &self,
        log: &LogId,
        after: i64,
        to: i64,
    ) -> Result<Vec<Recorded>, BusError> {
        self.ensure_connected()?;
        let stream: Stream = self
            .js
            .get_stream(self.names.stream(log.context()))
            .await
            .map_err(failed)?;
        let state = &stream.cached_info().state;
        let mut found = Vec::new();
        for position in (state.first_sequence..=state.last_sequence).rev() {
            let message = match stream.get_raw_message(position).await {
                Ok(message) => message,
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => continue,
                Err(error) => return Err(failed(error)),
            };
            let event_type = self.names.event_type(log, &message.subject);
            let event = event_type.and_then(|event_type| {
                let read =
                    cloudevents::event(log, event_type, &message.headers, message.payload.clone());
                read.ok()
            });
            match event {
                // Events earlier in the stream are earlier in the log.
                Some(event) if event.seq <= after => break,
                Some(event) if event.seq <= to => found.push(event),
                _ => {}
            }
        }
        Ok(found)
    }
}
