//! Serves one port.

use std::{convert::Infallible, io::Cursor};

use http::{Request, Response};
use tokio::{
    io::{AsyncReadExt, join},
    net::TcpListener,
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service;

use crate::server::{
    http1, http2,
    limits::Limits,
    listener::{Accepted, Acceptor, timed_out},
};

/// The first bytes of an HTTP/2 connection that are those of no method of HTTP/1.
const HTTP2: [u8; 3] = *b"PRI";

/// Serves a port until `stop` is cancelled, then finishes the requests in flight.
pub async fn serve<S>(
    listener: TcpListener,
    service: S,
    limits: &Limits,
    http1: bool,
    stop: CancellationToken,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let acceptor = Acceptor::new(listener, limits);
    // Dropping it closes them.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = acceptor.accept() => {
                let (service, limits, stop) = (service.clone(), limits.clone(), stop.clone());
                connections.spawn(connect(accepted, service, limits, http1, stop));
            }
        }
    }
    drop(acceptor);
    while connections.join_next().await.is_some() {}
}

async fn connect<S>(
    accepted: Accepted,
    service: S,
    limits: Limits,
    http1: bool,
    stop: CancellationToken,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let Accepted {
        stream,
        connection,
        place: _place,
    } = accepted;
    if !http1 {
        return http2::serve(stream, connection, service, &limits, stop).await;
    }
    let mut first = [0; HTTP2.len()];
    let (mut read, write) = stream.into_split();
    let begun = tokio::select! {
        () = stop.cancelled() => return,
        begun = timeout(limits.preface_timeout, read.read_exact(&mut first)) => begun,
    };
    match begun {
        Ok(Ok(_)) => {}
        Ok(Err(_)) => return,
        Err(_) => return timed_out(),
    }
    let io = join(Cursor::new(first).chain(read), write);
    if first == HTTP2 {
        http2::serve(io, connection, service, &limits, stop).await;
    } else {
        http1::serve(io, connection, service, &limits, stop).await;
    }
}
