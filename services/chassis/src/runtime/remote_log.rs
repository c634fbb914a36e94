//! The log of a context that runs in another process.

use std::time::Duration;

use berth::eventlog::v1::{
    self as proto, ReadRequest, ReadResponse, event_log_service_client::EventLogServiceClient,
};
use futures::future::BoxFuture;
use tonic::Request;

use crate::{
    client::peers::Peer,
    domain::{
        consumer_name::ConsumerName,
        event::Recorded,
        position::{Cursor, Position, Reported, Skip},
    },
    messaging::log_reader::{LogError, LogReader},
};

/// Deadline of a request.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest page that a server returns.
const LARGEST_PAGE: i64 = 1000;

/// The log of a context in another process, read through the admin port of that process.
#[derive(Debug)]
pub(super) struct RemoteLog {
    pub(super) context: String,
    /// The admin port of the process.
    pub(super) peer: Peer,
}

impl RemoteLog {
    async fn request(&self, request: ReadRequest) -> Result<ReadResponse, LogError> {
        let mut request = Request::new(request);
        request.get_mut().context.clone_from(&self.context);
        request.set_timeout(TIMEOUT);
        let mut client = EventLogServiceClient::new(self.peer.clone());
        match client.read(request).await {
            Ok(response) => Ok(response.into_inner()),
            Err(error) => Err(LogError(format!("{}: {}", error.code(), error.message()))),
        }
    }
}

impl LogReader for RemoteLog {
    fn read(&self, after: i64, limit: i64) -> BoxFuture<'_, Result<Vec<Recorded>, LogError>> {
        let limit = limit.clamp(1, LARGEST_PAGE);
        let request = ReadRequest {
            after,
            limit: i32::try_from(limit).unwrap_or(i32::MAX),
            ..ReadRequest::default()
        };
        Box::pin(async move {
            let events = self.request(request).await?.events;
            Ok(events.into_iter().map(Recorded::from_proto).collect())
        })
    }

    fn high_water_mark(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        let request = no_events();
        Box::pin(async move { Ok(reported(self.request(request).await?)?.high_water_mark) })
    }

    fn report_cursor(
        &self,
        cursor: Position,
        consumer: &ConsumerName,
    ) -> BoxFuture<'_, Result<Reported, LogError>> {
        let request = ReadRequest {
            cursor: Some(cursor.into()),
            consumer: consumer.to_string(),
            ..no_events()
        };
        Box::pin(async move { reported(self.request(request).await?) })
    }
}

/// A request for the events after every event: the response contains none.
fn no_events() -> ReadRequest {
    ReadRequest {
        after: i64::MAX,
        limit: 1,
        ..ReadRequest::default()
    }
}

fn reported(response: ReadResponse) -> Result<Reported, LogError> {
    let position = |position: Option<proto::Position>| {
        let position = position.and_then(|position| Position::try_from(position).ok());
        position.ok_or_else(|| LogError("the response has no position".into()))
    };
    let resume = response.resume.map(|resume| {
        Ok::<_, LogError>(Cursor {
            at: position(resume.cursor)?,
            skip: Skip {
                after: resume.skip_after,
                to: resume.skip_to,
            },
        })
    });
    Ok(Reported {
        high_water_mark: position(response.head)?,
        resume: resume.transpose()?,
    })
}
