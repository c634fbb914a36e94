//! The log of a context that runs in another process.

use std::time::Duration;

use berth::eventlog::v1::{
    ReadRequest, ReadResponse, event_log_service_client::EventLogServiceClient,
};
use futures::future::BoxFuture;
use tonic::Request;

use crate::{
    client::peers::Peer,
    domain::event::Recorded,
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

    fn head(&self) -> BoxFuture<'_, Result<i64, LogError>> {
        self.report_cursor(0, "")
    }

    fn report_cursor(&self, cursor: i64, consumer: &str) -> BoxFuture<'_, Result<i64, LogError>> {
        let request = ReadRequest {
            // After every event: the response contains none.
            after: i64::MAX,
            limit: 1,
            seen: cursor,
            consumer: consumer.to_owned(),
            ..ReadRequest::default()
        };
        Box::pin(async move { Ok(self.request(request).await?.head) })
    }
}
