//! What happens to every request before a context sees it, and to every answer after it.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{FutureExt, future::BoxFuture, poll};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, body::Body, service::Routes, transport::server::TcpConnectInfo};
use tower::{Service, ServiceExt};
use tracing::{Instrument, Span, field::Empty};

use crate::{
    contract::{headers, rpcs::Rpc},
    error::{
        refusal::Kind,
        status::{coded, internal, status, unavailable},
    },
    server::{
        Connection,
        limits::Limits,
        message_limits::{HEAD, Inbound, Outbound, code_of},
        pending_requests::Lobby,
        rpc_metrics::Record,
    },
    telemetry,
};

/// Which services a port carries.
#[derive(Clone, Debug, Default)]
pub struct Services {
    /// Services of packages `berth.<context>.…`, by context.
    contexts: Vec<(String, Routes)>,
    /// All others.
    others: Routes,
    /// The context that the port belongs to, if there is but one: it carries all its services.
    only: Option<Routes>,
}

impl Services {
    /// These services and nothing else.
    pub fn new(services: Routes) -> Self {
        Self {
            contexts: Vec::new(),
            others: services.prepare(),
            only: None,
        }
    }

    /// Adds a context's own services: those of its package. What it serves of other packages is not carried, because
    /// several contexts may serve the same.
    #[must_use]
    pub fn and(mut self, context: &str, services: Routes) -> Self {
        self.contexts.push((context.to_owned(), services.prepare()));
        self
    }

    /// Makes the port that of one context: it carries all its services, because whoever calls it means that context.
    #[must_use]
    pub fn only(mut self, services: Routes) -> Self {
        self.only = Some(services.prepare());
        self
    }

    fn at(&self, path: &str) -> Routes {
        let Some(context) = context_of(path) else {
            return self.others.clone();
        };
        let found = self
            .contexts
            .iter()
            .find(|(name, _)| context == name)
            .map(|(_, routes)| routes);
        found.or(self.only.as_ref()).unwrap_or(&self.others).clone()
    }
}

/// The way into the services of a port: load shed, deadline, size limits, panics, traces and metrics.
///
/// A request takes a place among those in hand when it has come whole: who sends slowly takes nothing from others. Of
/// several contexts on a port none may take more than half of the places, so that one that is overloaded or waits for
/// another leaves the others theirs.
#[derive(Clone, Debug)]
pub struct Edge(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    services: Services,
    limits: Limits,
    room: Semaphore,
    /// Room for each context of several.
    rooms: Vec<(String, Semaphore)>,
    lobby: Lobby,
    stop: CancellationToken,
}

impl Edge {
    /// A way into services. Streams end when `stop` is cancelled.
    pub fn new(services: Services, limits: &Limits, stop: CancellationToken) -> Self {
        let all = limits.max_in_flight;
        let several = services.contexts.len() > 1;
        let contexts = services.contexts.iter().filter(|_| several);
        let rooms = contexts.map(|(name, _)| (name.clone(), Semaphore::new(all.div_ceil(2))));
        Self(Arc::new(Inner {
            rooms: rooms.collect(),
            services,
            room: Semaphore::new(all),
            lobby: Lobby::new(all),
            limits: limits.clone(),
            stop,
        }))
    }
}

impl Service<Request<Body>> for Edge {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The time runs from here: the library has a clock of its own for the same deadline, and must not be faster.
        let (inner, began) = (self.0.clone(), Instant::now());
        Box::pin(async move { Ok(inner.answer(request, began).await) })
    }
}

impl Inner {
    async fn answer(&self, mut request: Request<Body>, began: Instant) -> Response<Body> {
        let rpc = Rpc::at(request.uri().path());
        let span = tracing::info_span!("rpc", rpc.service = %rpc.service, rpc.method = %rpc.method,
            rpc.code = Empty, otel.kind = "server", trace = Empty);
        telemetry::adopt(&span, request.headers_mut());
        let record = Record::begin(rpc, span);

        let answer = self.handle(rpc, request, began, record.span()).await;
        let (parts, body) = match answer {
            Ok(answer) => told_apart(answer),
            Err(error) => error.into_http::<Body>(),
        }
        .into_parts();
        let body = if let Some(code) = code_of(&parts.headers) {
            record.end(code);
            body
        } else {
            let stop = rpc
                .server_streaming
                .then(|| self.stop.clone().cancelled_owned());
            let most = self.limits.max_answer_bytes;
            Body::new(Outbound::new(body, most, stop, record))
        };
        Response::from_parts(parts, body)
    }

    async fn handle(
        &self,
        rpc: &Rpc,
        mut request: Request<Body>,
        began: Instant,
        span: &Span,
    ) -> Result<Response<Body>, Status> {
        let connection = request.extensions().get::<Connection>().cloned();
        // The context learns how long it may take.
        let longest = self.limits.request_timeout;
        let wait = headers::timeout(request.headers()).map_or(longest, |asked| asked.min(longest));
        request
            .headers_mut()
            .insert(headers::TIMEOUT, headers::timeout_value(wait));
        let most = self.limits.max_request_bytes;
        let request = request.map(|body| Body::new(Inbound::new(body, most)));
        let mut request = if rpc.is_health() || rpc.client_streaming {
            request
        } else {
            timeout_at(began + wait, self.comes(request))
                .await
                .map_err(|_| too_late())??
        };
        let places = if rpc.is_health() {
            None
        } else {
            Some(self.places(request.uri().path(), connection.as_ref())?)
        };
        if let Some(connection) = &connection {
            request.extensions_mut().insert(TcpConnectInfo {
                local_addr: None,
                remote_addr: Some(connection.remote),
            });
        }
        let routes = self.services.at(request.uri().path());
        let work = AssertUnwindSafe(routes.oneshot(request).instrument(span.clone()));
        let done = timeout_at(began + wait, work.catch_unwind()).await;
        drop(places);
        match done {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(never))) => match never {},
            Ok(Err(panic)) => Err(panicked(rpc, panic.as_ref())),
            Err(_) => Err(too_late()),
        }
    }
}

/// What a request in hand takes up.
type Places<'a> = [Option<SemaphorePermit<'a>>; 3];

impl Inner {
    /// A place for a request in every respect, or none.
    fn places<'a>(
        &'a self,
        path: &str,
        connection: Option<&'a Connection>,
    ) -> Result<Places<'a>, Status> {
        let context = context_of(path);
        let named = self.rooms.iter().find(|(name, _)| context == Some(name));
        let take = |room: &'a Semaphore| room.try_acquire().map_err(|_| overloaded());
        Ok([
            Some(take(&self.room)?),
            named.map(|(_, room)| take(room)).transpose()?,
            connection
                .map(|connection| take(&connection.room))
                .transpose()?,
        ])
    }

    /// Waits until a request of one message has come whole. Many have when they are first looked at, and nearly
    /// all a moment later.
    async fn comes(&self, request: Request<Body>) -> Result<Request<Body>, Status> {
        let (head, body) = request.into_parts();
        let most = HEAD + usize::try_from(self.limits.max_request_bytes).unwrap_or(usize::MAX);
        let mut gathered = Box::pin(Limited::new(body, most).collect());
        let bytes = match poll!(&mut gathered) {
            Poll::Ready(bytes) => bytes,
            Poll::Pending => self.lobby.wait(gathered).await.ok_or_else(overloaded)?,
        };
        let bytes = bytes.map_err(not_come)?.to_bytes();
        Ok(Request::from_parts(head, Body::new(Full::new(bytes))))
    }
}

/// A request broke off, or a limit of the port.
fn not_come(error: Box<dyn std::error::Error + Send + Sync>) -> Status {
    if error.is::<LengthLimitError>() {
        let more = "the request is more than one message";
        return status(Kind::Invalid, "MALFORMED_REQUEST", more);
    }
    Status::try_from_error(error).unwrap_or_else(|_| Status::cancelled("the request broke off"))
}

/// `room` of `/berth.room.v1.RoomService/GetRoom`.
fn context_of(path: &str) -> Option<&str> {
    path.strip_prefix("/berth.")?.split('.').next()
}

/// An INTERNAL without details is the library's word for a request it cannot read: that is the caller's fault.
fn told_apart(answer: Response<Body>) -> Response<Body> {
    let headers = answer.headers();
    if code_of(headers) != Some(Code::Internal) || headers.contains_key(Status::GRPC_STATUS_DETAILS)
    {
        return answer;
    }
    status(
        Kind::Invalid,
        "MALFORMED_REQUEST",
        "the request is no message of this rpc",
    )
    .into_http()
}

fn overloaded() -> Status {
    metrics::counter!("berth_rpc_shed_total").increment(1);
    unavailable("OVERLOADED", "too much to do right now; ask again")
}

fn too_late() -> Status {
    let may_be = "not done in the time given; it may be done yet";
    coded(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", may_be)
}

fn panicked(rpc: &Rpc, panic: &(dyn std::any::Any + Send)) -> Status {
    metrics::counter!("berth_panics_total", "service" => rpc.service.clone()).increment(1);
    let text = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned());
    internal(&format!("panic: {}", text.unwrap_or_default()))
}
