//! The log of a context that runs in another process.

use berth::eventlog::v1::{
    ReadRequest, ReadResponse, event_log_service_client::EventLogServiceClient,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use tonic::Request;

use crate::{
    domain::event::Recorded,
    messaging::log_reader::{LogError, LogReader},
};

/// The log of a context that runs in another process, read through its admin port.
#[derive(Clone, Debug)]
pub struct RemoteLog<C> {
    context: String,
    channel: C,
}

impl<C> RemoteLog<C> {
    /// The log of a context, read over a channel to its process.
    pub fn new(context: impl Into<String>, channel: C) -> Self {
        Self {
            context: context.into(),
            channel,
        }
    }
}

impl<C> RemoteLog<C>
where
    C: tonic::client::GrpcService<tonic::body::Body> + Clone + Send + Sync + 'static,
    C::Error: Into<tonic::codegen::StdError>,
    C::Future: Send,
    C::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <C::ResponseBody as http_body::Body>::Error: Into<tonic::codegen::StdError> + Send,
{
    async fn ask(&self, asked: ReadRequest) -> Result<ReadResponse, LogError> {
        let mut request = Request::new(ReadRequest {
            context: self.context.clone(),
            ..asked
        });
        request.set_timeout(std::time::Duration::from_secs(5));
        let mut client = EventLogServiceClient::new(self.channel.clone());
        match client.read(request).await {
            Ok(answer) => Ok(answer.into_inner()),
            Err(error) => Err(LogError(format!("{}: {}", error.code(), error.message()))),
        }
    }
}

impl<C> LogReader for RemoteLog<C>
where
    C: tonic::client::GrpcService<tonic::body::Body>
        + Clone
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
    C::Error: Into<tonic::codegen::StdError>,
    C::Future: Send,
    C::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <C::ResponseBody as http_body::Body>::Error: Into<tonic::codegen::StdError> + Send,
{
    fn read(&self, after: i64, limit: i64) -> BoxFuture<'_, Result<Vec<Recorded>, LogError>> {
        Box::pin(async move {
            let asked = ReadRequest {
                after,
                limit: i32::try_from(limit.clamp(1, 1000)).unwrap_or(1000),
                ..ReadRequest::default()
            };
            let answer = self.ask(asked).await?;
            let events = answer.events.into_iter();
            Ok(events.map(Recorded::from_proto).collect())
        })
    }

    fn head(&self) -> BoxFuture<'_, Result<i64, LogError>> {
        self.seen(0, "")
    }

    fn seen(&self, seen: i64, consumer: &str) -> BoxFuture<'_, Result<i64, LogError>> {
        let asked = ReadRequest {
            // No events.
            after: i64::MAX,
            limit: 1,
            seen,
            consumer: consumer.to_owned(),
            ..ReadRequest::default()
        };
        Box::pin(async move { Ok(self.ask(asked).await?.head) })
    }
}
