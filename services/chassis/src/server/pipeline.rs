//! What happens to every request before a context receives it, and to every response.

use std::{
    any::Any,
    convert::Infallible,
    error::Error,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{FutureExt, future::BoxFuture, poll};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, body::Body};
use tower::{Service, ServiceExt};
use tracing::{Instrument, Span, field::Empty};

use crate::{
    contract::{headers, rpcs::Rpc},
    error::{
        refusal::Kind,
        status::{coded, internal, status, unavailable},
    },
    server::{
        concurrency::Concurrency,
        limits::Limits,
        listener::Connection,
        message_limits::{FRAME_HEADER, Inbound, Outbound, code_of},
        pending_requests::PendingRequests,
        rpc_metrics::Record,
        services::{Services, context_of},
        source,
    },
    telemetry::traces,
};

/// Passes requests to the services of a port, with deadline, size limits, load shedding, panic handling, traces and metrics.
///
/// A request takes its concurrency permits when it has arrived completely, so a slow sender takes none from others.
#[derive(Clone, Debug)]
pub struct RequestPipeline(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    services: Services,
    limits: Limits,
    concurrency: Concurrency,
    pending: PendingRequests,
    stop: CancellationToken,
}

impl RequestPipeline {
    /// The pipeline of a port. Streams end when `stop` is cancelled.
    pub fn new(services: Services, limits: &Limits, stop: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            concurrency: Concurrency::new(limits.max_in_flight, &services),
            services,
            pending: PendingRequests::new(limits.max_in_flight),
            limits: limits.clone(),
            stop,
        }))
    }
}

impl Service<Request<Body>> for RequestPipeline {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The time runs from here: tonic enforces the same deadline with a timer of its own, and must not be faster.
        let (inner, began) = (self.0.clone(), Instant::now());
        Box::pin(async move { Ok(inner.respond(request, began).await) })
    }
}

impl Inner {
    async fn respond(&self, mut request: Request<Body>, began: Instant) -> Response<Body> {
        let rpc = Rpc::at(request.uri().path());
        let span = tracing::info_span!("rpc", rpc.service = %rpc.service, rpc.method = %rpc.method,
            rpc.code = Empty, otel.kind = "server", trace = Empty);
        traces::join(&span, request.headers_mut());
        let record = Record::begin(rpc, span);

        let response = match self.handle(rpc, request, began, record.span()).await {
            Ok(response) => blame_caller(response),
            Err(error) => error.into_http(),
        };
        if let Some(code) = code_of(response.headers()) {
            record.end(code);
            return response;
        }
        let stop = rpc
            .server_streaming
            .then(|| self.stop.clone().cancelled_owned());
        let max = self.limits.max_answer_bytes;
        response.map(|body| Body::new(Outbound::new(body, max, stop, record)))
    }

    async fn handle(
        &self,
        rpc: &Rpc,
        mut request: Request<Body>,
        began: Instant,
        span: &Span,
    ) -> Result<Response<Body>, Status> {
        let connection = request.extensions().get::<Connection>().cloned();
        let longest = self.limits.request_timeout;
        let timeout =
            headers::timeout(request.headers()).map_or(longest, |asked| asked.min(longest));
        let deadline = began + timeout;
        // The context reads its deadline from here.
        request
            .headers_mut()
            .insert(headers::TIMEOUT, headers::timeout_value(timeout));
        let max = self.limits.max_request_bytes;
        let mut request = request.map(|body| Body::new(Inbound::new(body, max)));
        if !rpc.is_health() && !rpc.client_streaming {
            let arrived = timeout_at(deadline, self.read_message(request)).await;
            request = arrived.map_err(|_| deadline_exceeded())??;
        }
        let permits = if rpc.is_health() {
            None
        } else {
            let context = context_of(request.uri().path());
            let permits = self.concurrency.try_acquire(context, connection.as_ref());
            Some(permits.ok_or_else(overloaded)?)
        };
        if let Some(connection) = &connection {
            let peer = connection.remote.ip();
            let source = source::of(peer, request.headers(), &self.limits.trusted);
            request.extensions_mut().insert(source);
        }
        let routes = self.services.routes(request.uri().path());
        let work = AssertUnwindSafe(routes.oneshot(request).instrument(span.clone()));
        let done = timeout_at(deadline, work.catch_unwind()).await;
        drop(permits);
        match done {
            Ok(Ok(Ok(response))) => Ok(response),
            Ok(Ok(Err(never))) => match never {},
            Ok(Err(panic)) => Err(panicked(rpc, panic.as_ref())),
            Err(_) => Err(deadline_exceeded()),
        }
    }

    /// Reads the one message of a unary request. Usually it is there at once, or nearly.
    async fn read_message(&self, request: Request<Body>) -> Result<Request<Body>, Status> {
        let (head, body) = request.into_parts();
        let max =
            FRAME_HEADER + usize::try_from(self.limits.max_request_bytes).unwrap_or(usize::MAX);
        let mut collecting = Box::pin(Limited::new(body, max).collect());
        let collected = match poll!(&mut collecting) {
            Poll::Ready(collected) => collected,
            Poll::Pending => {
                let arrived = self.pending.wait(collecting).await;
                arrived.ok_or_else(overloaded)?
            }
        };
        let bytes = collected.map_err(unreadable)?.to_bytes();
        Ok(Request::from_parts(head, Body::new(Full::new(bytes))))
    }
}

/// The request was cut off, or exceeds a limit of the port.
fn unreadable(error: Box<dyn Error + Send + Sync>) -> Status {
    if error.is::<LengthLimitError>() {
        return malformed("the request is more than one message");
    }
    Status::try_from_error(error).unwrap_or_else(|_| Status::cancelled("the request was cut off"))
}

/// Replaces an INTERNAL without details: tonic returns it for a request that it cannot decode, which is the caller's fault.
fn blame_caller(response: Response<Body>) -> Response<Body> {
    let headers = response.headers();
    let is_ours = headers.contains_key(Status::GRPC_STATUS_DETAILS);
    if code_of(headers) == Some(Code::Internal) && !is_ours {
        return malformed("the request is not a message of this rpc").into_http();
    }
    response
}

fn malformed(message: &str) -> Status {
    status(Kind::Invalid, "MALFORMED_REQUEST", message)
}

fn overloaded() -> Status {
    metrics::counter!("berth_rpc_shed_total").increment(1);
    unavailable("OVERLOADED", "too many requests at the moment; try again")
}

fn deadline_exceeded() -> Status {
    let message = "not finished before the deadline; it may still take effect";
    coded(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", message)
}

fn panicked(rpc: &Rpc, panic: &(dyn Any + Send)) -> Status {
    metrics::counter!("berth_panics_total", "service" => rpc.service.clone()).increment(1);
    let text = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned());
    internal(&format!("panic: {}", text.unwrap_or_default()))
}
