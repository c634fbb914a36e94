//! Serves one port.

use std::{convert::Infallible, time::Duration};

use http::{Request, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{body::Body, transport::Server};
use tower::Service;

use crate::server::{limits::Limits, listener};

const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEADER_BYTES: u32 = 16 * 1024;
/// What a caller may send of one request before it is read.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for a connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Serves a port until `stop` is cancelled, then finishes the requests in flight.
pub async fn serve<S>(
    listener: TcpListener,
    service: S,
    limits: &Limits,
    http1: bool,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    Server::builder()
        .accept_http1(http1)
        .max_concurrent_streams(limits.max_streams)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        // Sends GOAWAY. A connection that does not close then is cut off by the listener.
        .max_connection_age(limits.connection_age)
        .serve_with_incoming_shutdown(
            service,
            listener::incoming(listener, limits, http1),
            stop.cancelled_owned(),
        )
        .await
}
