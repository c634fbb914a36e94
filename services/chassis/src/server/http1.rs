//! Serves one HTTP/1 connection of the admin port: one request, in bounded time.

use std::convert::Infallible;

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1::Builder, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::{Service, ServiceExt};

use crate::server::{delivery::LINGER, limits::Limits, listener::Connection};

/// Serves a connection until it ends.
pub(super) async fn serve<IO, S>(
    io: IO,
    connection: Connection,
    service: S,
    limits: &Limits,
    stop: CancellationToken,
) where
    IO: AsyncRead + AsyncWrite + Unpin,
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    let respond = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(connection.clone());
        service.clone().oneshot(request)
    });
    let serving = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.preface_timeout)
        .keep_alive(false)
        .serve_connection(TokioIo::new(io), respond);
    let ended = async {
        stop.cancelled().await;
        tokio::time::sleep(LINGER).await;
    };
    let longest = limits.preface_timeout + limits.request_timeout;
    tokio::select! {
        // An error means that the client is gone.
        _ = timeout(longest, serving) => {}
        () = ended => {}
    }
}
