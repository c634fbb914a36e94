//! Serves one HTTP/2 connection: its requests, its age and its end.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use h2::{
    Ping, PingPong, RecvStream,
    server::{Builder, SendResponse},
};
use http::{Request, Response};
use http_body::Frame;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::{Service, ServiceExt};

use crate::server::{
    delivery::{Chunk, deliver},
    limits::Limits,
    listener::{Connection, timed_out},
};

const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time in which an idle client acknowledges the GOAWAY of a process that stops.
const GOAWAY_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of the headers of a request. The library closes the connection of a client that sends far more, so this is more
/// than the pipeline accepts: sizes in between get a response.
const MAX_HEADER_BYTES: u32 = 96 * 1024;
/// What a caller may send of one request before it is read.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for a connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of a response that the library takes before it has sent the ones before.
const SEND_BUFFER: usize = 64 * 1024;

/// Serves a connection until it ends. After `stop` it finishes the requests in progress.
pub(super) async fn serve<IO, S>(
    io: IO,
    connection: Connection,
    service: S,
    limits: &Limits,
    stop: CancellationToken,
) where
    IO: AsyncRead + AsyncWrite + Unpin,
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let began = Instant::now();
    let handshake = builder(limits).handshake::<_, Chunk>(io);
    let shaken = tokio::select! {
        () = stop.cancelled() => return,
        shaken = timeout(limits.preface_timeout, handshake) => shaken,
    };
    let Ok(shaken) = shaken else {
        return timed_out();
    };
    let Ok(mut http2) = shaken else { return };
    let keepalive = keepalive(http2.ping_pong());
    let aged = sleep_until(began + limits.connection_age);
    let outlived = sleep_until(began + limits.connection_age + limits.connection_age_grace);
    tokio::pin!(keepalive, aged, outlived);
    // Dropping it cancels them.
    let mut requests = JoinSet::new();
    let (mut is_old, mut stops) = (false, false);
    loop {
        tokio::select! {
            accepted = accept(&mut http2, stops && requests.is_empty()) => match accepted {
                Some(Ok((request, respond))) => {
                    let mut request = request.map(|body| Body::new(Inbound(body)));
                    request.extensions_mut().insert(connection.clone());
                    let (service, stop) = (service.clone(), stop.clone());
                    requests.spawn(answer(service, request, respond, limits.request_timeout, stop));
                }
                Some(Err(error)) => {
                    tracing::debug!(error = %error, "connection ended");
                    return;
                }
                None => return,
            },
            Some(_) = requests.join_next() => {}
            () = &mut aged, if !is_old => {
                is_old = true;
                http2.graceful_shutdown();
            }
            () = &mut outlived => return timed_out(),
            () = &mut keepalive => return,
            () = stop.cancelled(), if !stops => {
                stops = true;
                http2.graceful_shutdown();
            }
        }
    }
}

/// The next request. None when the connection has ended, or when it is `idle` after the GOAWAY and its client, which is perhaps
/// gone, does not acknowledge that. A request that has arrived goes before the end of this time.
async fn accept<IO: AsyncRead + AsyncWrite + Unpin>(
    http2: &mut h2::server::Connection<IO, Chunk>,
    idle: bool,
) -> Option<Result<(Request<RecvStream>, SendResponse<Chunk>), h2::Error>> {
    if idle {
        return timeout(GOAWAY_TIMEOUT, http2.accept()).await.ok().flatten();
    }
    http2.accept().await
}

fn builder(limits: &Limits) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(MAX_HEADER_BYTES)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER);
    builder
}

/// Ends when the client no longer answers.
async fn keepalive(pings: Option<PingPong>) {
    let Some(mut pings) = pings else {
        return std::future::pending().await;
    };
    loop {
        sleep(KEEPALIVE_INTERVAL).await;
        let answered = timeout(KEEPALIVE_TIMEOUT, pings.ping(Ping::opaque())).await;
        if !matches!(answered, Ok(Ok(_))) {
            return;
        }
    }
}

/// Answers one request, unless the client takes it back.
async fn answer<S>(
    service: S,
    request: Request<Body>,
    mut respond: SendResponse<Chunk>,
    longest_stall: Duration,
    stop: CancellationToken,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let response = tokio::select! {
        response = service.oneshot(request) => response,
        _ = poll_fn(|cx| respond.poll_reset(cx)) => return,
    };
    let Ok(response) = response;
    deliver(response, respond, longest_stall, stop).await;
}

/// The body of a request.
struct Inbound(RecvStream);

impl http_body::Body for Inbound {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let stream = &mut self.0;
        match ready!(stream.poll_data(cx)) {
            Some(Ok(bytes)) => {
                // Only a stream that has ended refuses it.
                let _ = stream.flow_control().release_capacity(bytes.len());
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => {
                let trailers = ready!(stream.poll_trailers(cx)).transpose();
                Poll::Ready(trailers.map(|trailers| trailers.map(Frame::trailers)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }
}
