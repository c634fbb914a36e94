//! One replica: its readiness, and its connections.

use std::{
    error::Error,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, bail};
use chassis::server::health::READINESS;
use http::{Request, Response, Uri, uri::PathAndQuery};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::TcpStream,
    sync::{Mutex, watch},
    time::{MissedTickBehavior, interval, timeout},
};
use tonic::{Streaming, body::Body, transport::Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};

use super::{body::ResponseBody, pool::Counters};

/// The number of connections to a port of a replica. A replica limits the concurrent requests of one connection.
const CONNECTIONS: usize = 4;
/// The timeout for opening a connection.
const CONNECT: Duration = Duration::from_secs(1);
/// The retry interval for a replica that cannot be reached.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// Pings detect a replica that hangs: it is unready after the sum of both durations.
const PING_EVERY: Duration = Duration::from_secs(1);
const PING_WAIT: Duration = Duration::from_secs(2);

/// A port of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    /// The public services.
    Public,
    /// Health, metrics and the event log.
    Admin,
}

/// Why there is no response.
pub(super) enum CallError {
    /// The request was never sent, or not processed. It is returned for a retry.
    NotSent(Box<Request<Body>>),
    /// It was sent, and its outcome is unknown.
    Broken,
}

/// One replica of a context.
#[derive(Debug)]
pub(super) struct Replica {
    public: Connections,
    admin: Connections,
    ready: AtomicBool,
    changes: watch::Sender<()>,
    /// Something behind its address balances, so its connections lead to several processes.
    is_service: bool,
}

impl Replica {
    pub(super) fn new(public: SocketAddr, admin: SocketAddr, changes: watch::Sender<()>) -> Self {
        Self {
            public: Connections::new(public),
            admin: Connections::new(admin),
            ready: AtomicBool::new(false),
            changes,
            is_service: false,
        }
    }

    /// An address behind which something else balances. It counts as ready, always.
    pub(super) fn service(address: SocketAddr, changes: watch::Sender<()>) -> Self {
        let ready = AtomicBool::new(true);
        Self {
            ready,
            is_service: true,
            ..Self::new(address, address, changes)
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }

    fn set_ready(&self, ready: bool) {
        if self.ready.swap(ready, Ordering::SeqCst) != ready {
            self.changes.send_replace(());
        }
    }

    /// Watches the readiness of the replica, for as long as the balancer runs.
    pub(super) async fn watch(self: Arc<Self>) {
        let mut retries = interval(RETRY_INTERVAL);
        retries.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            retries.tick().await;
            // Servers close old connections, so the end of a connection does not make the replica unready.
            match timeout(CONNECT, self.open_watch()).await {
                Ok(Ok(updates)) => self.follow(updates).await,
                _ => self.set_ready(false),
            }
        }
    }

    async fn open_watch(&self) -> Result<Streaming<HealthCheckResponse>> {
        let channel = Endpoint::from_shared(format!("http://{}", self.admin.address))?
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_WAIT)
            .keep_alive_while_idle(true)
            .connect()
            .await?;
        let request = HealthCheckRequest {
            service: READINESS.to_owned(),
        };
        let mut updates = HealthClient::new(channel)
            .watch(request)
            .await?
            .into_inner();
        match updates.message().await? {
            Some(first) => self.update(first),
            None => bail!("the health check sent no status"),
        }
        Ok(updates)
    }

    async fn follow(&self, mut updates: Streaming<HealthCheckResponse>) {
        while let Ok(Some(update)) = updates.message().await {
            self.update(update);
        }
    }

    fn update(&self, update: HealthCheckResponse) {
        self.set_ready(update.status() == ServingStatus::Serving);
    }

    /// Sends a request to a port.
    pub(super) async fn answer(
        &self,
        port: Port,
        request: Request<Body>,
        counters: &Arc<Counters>,
    ) -> Result<Response<Body>, CallError> {
        let connections = match port {
            Port::Public => &self.public,
            Port::Admin => &self.admin,
        };
        let request = connections.address_to(request);
        if self.is_service {
            return repeat(connections, request, counters).await;
        }
        let Ok(mut connection) = connections.next(false).await else {
            return Err(CallError::NotSent(Box::new(request)));
        };
        match connection.try_send_request(request).await {
            Ok(answer) => Ok(counted(answer, counters)),
            Err(mut failed) => Err(match failed.take_message() {
                Some(request) => CallError::NotSent(Box::new(request)),
                None => CallError::Broken,
            }),
        }
    }
}

/// Sends a unary request, and again on a fresh connection if it was not processed: other open connections may be about to close,
/// too, because a process that stops closes all of its own.
async fn repeat(
    connections: &Connections,
    request: Request<Body>,
    counters: &Arc<Counters>,
) -> Result<Response<Body>, CallError> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Err(CallError::Broken);
    };
    let body = body.to_bytes();
    let again = || Request::from_parts(parts.clone(), Body::new(Full::new(body.clone())));
    for fresh in [false, true] {
        let Ok(mut connection) = connections.next(fresh).await else {
            break;
        };
        match connection.try_send_request(again()).await {
            Ok(answer) => return Ok(counted(answer, counters)),
            Err(failed) if failed.message().is_some() || is_unprocessed(failed.error()) => {}
            Err(_) => return Err(CallError::Broken),
        }
    }
    Err(CallError::NotSent(Box::new(again())))
}

fn counted(answer: Response<Incoming>, counters: &Arc<Counters>) -> Response<Body> {
    let counters = counters.clone();
    answer.map(|body| Body::new(ResponseBody::new(body, counters)))
}

/// Whether the replica has said that it did not process the request: it arrived after the last one before the stop. Every client
/// of gRPC sends such a request again.
fn is_unprocessed(error: &hyper::Error) -> bool {
    let http2 = error
        .source()
        .and_then(|source| source.downcast_ref::<h2::Error>());
    http2.is_some_and(|error| {
        let stops = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
        error.is_remote() && (stops || error.reason() == Some(h2::Reason::REFUSED_STREAM))
    })
}

/// The connections to a port of a replica, opened on demand.
#[derive(Debug)]
struct Connections {
    address: SocketAddr,
    all: [Mutex<Option<SendRequest<Body>>>; CONNECTIONS],
    turn: AtomicUsize,
}

impl Connections {
    fn new(address: SocketAddr) -> Self {
        Self {
            address,
            all: Default::default(),
            turn: AtomicUsize::new(0),
        }
    }

    /// The next open connection, or a fresh one in its place.
    async fn next(&self, fresh: bool) -> io::Result<SendRequest<Body>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % CONNECTIONS;
        let connection = self.all.get(turn).ok_or(io::ErrorKind::NotFound)?;
        let mut connection = connection.lock().await;
        if let Some(open) = connection
            .as_ref()
            .filter(|connection| !fresh && !connection.is_closed())
        {
            return Ok(open.clone());
        }
        let new = timeout(CONNECT, connect(self.address)).await??;
        *connection = Some(new.clone());
        Ok(new)
    }

    /// Rewrites the URI of a request for this port.
    fn address_to(&self, request: Request<Body>) -> Request<Body> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().cloned();
        let uri = Uri::builder()
            .scheme("http")
            .authority(self.address.to_string())
            .path_and_query(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        if let Ok(uri) = uri.build() {
            parts.uri = uri;
        }
        parts.extensions.clear();
        Request::from_parts(parts, body)
    }
}

async fn connect(address: SocketAddr) -> io::Result<SendRequest<Body>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    // The task ends with the connection; later requests on it fail.
    drop(tokio::spawn(connection));
    Ok(sender)
}
