//! Reading back: what the stream still holds of a log that has lost its end.

use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};

use crate::{
    domain::{event::Recorded, log_id::LogId},
    messaging::{
        bus::BusError,
        jetstream::{Broker, cloudevents, streams::failed},
    },
};

impl Broker {
    /// The events of a log after a sequence number up to another one, from the end of the stream backwards.
    pub(super) async fn read_back(
        &self,
        log: &LogId,
        after: i64,
        to: i64,
    ) -> Result<Vec<Recorded>, BusError> {
        self.reach()?;
        let stream: Stream = self
            .js
            .get_stream(self.names.stream(log.context()))
            .await
            .map_err(failed)?;
        let state = &stream.cached_info().state;
        let mut found = Vec::new();
        for place in (state.first_sequence..=state.last_sequence).rev() {
            let message = match stream.get_raw_message(place).await {
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
                // What comes earlier in the stream is earlier on the log.
                Some(event) if event.seq <= after => break,
                Some(event) if event.seq <= to => found.push(event),
                _ => {}
            }
        }
        Ok(found)
    }
}
