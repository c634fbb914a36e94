//! One replica: is it ready, and how is it asked?

use std::{
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
use hyper::client::conn::http2::{self, SendRequest};
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

use super::{body::Answer, pool::Counters};

/// How many connections a port of a replica has: one alone would be held to what a replica bears from one connection.
const LINES: usize = 4;
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(1);
/// How often a replica that is not there is looked for.
const LOOK: Duration = Duration::from_millis(50);
/// A replica that stands still is noticed after both: it does not answer a ping.
const PING_EVERY: Duration = Duration::from_secs(1);
const PING_WAIT: Duration = Duration::from_secs(2);

/// A port of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    /// For everybody.
    Public,
    /// Health, metrics and the event log.
    Admin,
}

/// Why there is no answer.
pub(super) enum NotAnswered {
    /// The request was never sent. Here it is again.
    NotSent(Box<Request<Body>>),
    /// It was sent, and nobody knows what became of it.
    Broken,
}

/// One replica of a context.
#[derive(Debug)]
pub(super) struct Replica {
    public: Lines,
    admin: Lines,
    ready: AtomicBool,
    changes: watch::Sender<()>,
}

impl Replica {
    pub(super) fn new(public: SocketAddr, admin: SocketAddr, changes: watch::Sender<()>) -> Self {
        Self {
            public: Lines::new(public),
            admin: Lines::new(admin),
            ready: AtomicBool::new(false),
            changes,
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

    /// Follows what the replica says of itself, for as long as the balancer is there.
    pub(super) async fn watch(self: Arc<Self>) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            // A connection may end because it is old. That alone says nothing against who was at its other end.
            match timeout(CONNECT, self.listen()).await {
                Ok(Ok(told)) => self.follow(told).await,
                _ => self.set_ready(false),
            }
        }
    }

    async fn listen(&self) -> Result<Streaming<HealthCheckResponse>> {
        let channel = Endpoint::from_shared(format!("http://{}", self.admin.address))?
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_WAIT)
            .keep_alive_while_idle(true)
            .connect()
            .await?;
        let request = HealthCheckRequest {
            service: READINESS.to_owned(),
        };
        let mut told = HealthClient::new(channel)
            .watch(request)
            .await?
            .into_inner();
        match told.message().await? {
            Some(first) => self.hear(first),
            None => bail!("it says nothing"),
        }
        Ok(told)
    }

    async fn follow(&self, mut told: Streaming<HealthCheckResponse>) {
        while let Ok(Some(news)) = told.message().await {
            self.hear(news);
        }
    }

    fn hear(&self, news: HealthCheckResponse) {
        self.set_ready(news.status() == ServingStatus::Serving);
    }

    /// Asks it.
    pub(super) async fn answer(
        &self,
        port: Port,
        request: Request<Body>,
        counters: &Arc<Counters>,
    ) -> Result<Response<Body>, NotAnswered> {
        let lines = match port {
            Port::Public => &self.public,
            Port::Admin => &self.admin,
        };
        let Ok(mut line) = lines.next().await else {
            return Err(NotAnswered::NotSent(Box::new(request)));
        };
        match line.try_send_request(lines.address_to(request)).await {
            Ok(answer) => {
                let counters = counters.clone();
                Ok(answer.map(|body| Body::new(Answer::new(body, counters))))
            }
            Err(mut failed) => Err(match failed.take_message() {
                Some(request) => NotAnswered::NotSent(Box::new(request)),
                None => NotAnswered::Broken,
            }),
        }
    }
}

/// The connections to a port of a replica, made when they are needed.
#[derive(Debug)]
struct Lines {
    address: SocketAddr,
    all: [Mutex<Option<SendRequest<Body>>>; LINES],
    turn: AtomicUsize,
}

impl Lines {
    fn new(address: SocketAddr) -> Self {
        Self {
            address,
            all: Default::default(),
            turn: AtomicUsize::new(0),
        }
    }

    /// A connection that is open.
    async fn next(&self) -> io::Result<SendRequest<Body>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % LINES;
        let line = self.all.get(turn).ok_or(io::ErrorKind::NotFound)?;
        let mut line = line.lock().await;
        if let Some(open) = line.as_ref().filter(|line| !line.is_closed()) {
            return Ok(open.clone());
        }
        let new = timeout(CONNECT, connect(self.address)).await??;
        *line = Some(new.clone());
        Ok(new)
    }

    /// The same request, for this port.
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
    let (line, connection) = http2::Builder::new(TokioExecutor::new())
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    // It ends when either end hangs up; whoever uses it then is told.
    drop(tokio::spawn(connection));
    Ok(line)
}
