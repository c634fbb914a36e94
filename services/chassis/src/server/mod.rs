//! A port: gRPC over HTTP/2 without TLS (the mesh has it), with a limit for everything a caller can use up.

pub(crate) mod admin;
pub mod health;
pub mod limits;
mod listener;
mod message_limits;
mod pending_requests;
mod pipeline;
mod rpc_metrics;

use std::{convert::Infallible, time::Duration};

use http::{Request, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{body::Body, service::Routes, transport::Server};
use tower::Service;

use self::limits::Limits;
pub use self::{
    listener::Connection,
    pipeline::{Edge, Services},
};
pub use crate::contract::rpcs::services_of;

const PING_EVERY: Duration = Duration::from_secs(20);
const PING_WAIT: Duration = Duration::from_secs(10);
const HEADER_BYTES: u32 = 16 * 1024;
/// What a caller may send of one request before it is read.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for a connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Serves a port until `stop` is cancelled, then finishes what is in hand.
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
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_WAIT))
        .http2_max_header_list_size(HEADER_BYTES)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        // Asks a connection to go. What does not go is cut off by the connection itself.
        .max_connection_age(limits.connection_age)
        .serve_with_incoming_shutdown(
            service,
            listener::incoming(listener, limits, http1),
            stop.cancelled_owned(),
        )
        .await
}

/// Reflection of some services, in both versions, added to others.
pub fn with_reflection(
    routes: Routes,
    services: &[String],
) -> Result<Routes, tonic_reflection::server::Error> {
    let describe = || {
        services.iter().fold(
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(berth::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET),
            tonic_reflection::server::Builder::with_service_name,
        )
    };
    Ok(routes
        .add_service(describe().build_v1()?)
        .add_service(describe().build_v1alpha()?))
}
