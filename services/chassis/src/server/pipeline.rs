//! What happens to every request before a context receives it, and to every response.

use std::{
    any::Any,
    convert::Infallible,
    future::ready,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, future::BoxFuture, poll};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
};
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
        status::{coded, internal, status},
    },
    server::{
        concurrency::Concurrency,
        delivery::DeliverBy,
        limits::Limits,
        listener::Connection,
        message_limits::{
            FRAME_HEADER, Inbound, Messages, Outbound, Stream, code_of, overloaded, too_long,
        },
        pending_requests::PendingRequests,
        rpc_metrics::Record,
        services::{Services, context_of},
        shares::{Account, Permits, count_waiting},
        source::{self, Source},
    },
    telemetry::traces,
};

/// Bytes of metadata that a request may have.
const MAX_METADATA: usize = 16 * 1024;

/// The content types of gRPC with messages in protobuf.
const GRPC: [&str; 2] = ["application/grpc", "application/grpc+proto"];

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
        let of_source = limits.max_in_flight_per_source;
        Self(Arc::new(Inner {
            concurrency: Concurrency::new(limits, &services),
            services,
            pending: PendingRequests::new(limits.max_in_flight, of_source),
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
        // The time of the request runs from here.
        let (inner, began) = (self.0.clone(), Instant::now());
        Box::pin(async move { Ok(inner.respond(request, began).await) })
    }
}

impl Inner {
    async fn respond(&self, mut request: Request<Body>, began: Instant) -> Response<Body> {
        if let Some(refused) = http_error(&request) {
            return refused;
        }
        let rpc = Rpc::at(request.uri().path());
        let span = tracing::info_span!("rpc", rpc.service = %rpc.service, rpc.method = %rpc.method,
            rpc.code = Empty, otel.kind = "server", trace = Empty);
        traces::join(&span, request.headers_mut());
        let record = Record::begin(rpc, span);

        let longest = self.limits.request_timeout;
        let asked = headers::timeout(request.headers());
        let timeout = asked.map_or(longest, |asked| asked.min(longest));
        // The context reads its deadline from here.
        let value = headers::timeout_value(timeout);
        let deadline = began + timeout;
        request.headers_mut().insert(headers::TIMEOUT, value);
        let account = self.account(&mut request);

        let handled = self.handle(rpc, request, account.as_ref(), deadline, record.span());
        let (response, permits) = match handled.await {
            Ok((response, permits)) => (as_invalid_request(response), permits),
            Err(error) => (error.into_http(), Permits::default()),
        };
        if let Some(code) = code_of(response.headers()) {
            record.end(code);
            return response;
        }
        let stream = rpc.server_streaming.then(|| Stream {
            messages: Messages::default(),
            max: self.limits.max_answer_bytes,
            stop: Box::pin(self.stop.clone().cancelled_owned()),
            port: self.concurrency.port.clone(),
            account,
            _permits: permits,
        });
        let is_whole = stream.is_none();
        let mut response = response.map(|body| Body::new(Outbound::new(body, stream, record)));
        if is_whole {
            response.extensions_mut().insert(DeliverBy(deadline));
        }
        response
    }

    /// The shares that a request uses. It gets its source.
    fn account(&self, request: &mut Request<Body>) -> Option<Account> {
        let connection = request.extensions().get::<Connection>()?;
        let peer = connection.remote.ip();
        let source = source::of(peer, request.headers(), &self.limits.trusted);
        let account = connection.shares.account(&source);
        request.extensions_mut().insert(source);
        Some(account)
    }

    async fn handle(
        &self,
        rpc: &Rpc,
        request: Request<Body>,
        account: Option<&Account>,
        deadline: Instant,
        span: &Span,
    ) -> Result<(Response<Body>, Permits), Status> {
        if size_of(request.headers()) > MAX_METADATA {
            let message = format!("more than {MAX_METADATA} bytes of metadata");
            return Err(coded(
                Code::ResourceExhausted,
                "METADATA_TOO_LARGE",
                message,
            ));
        }
        let max = self.limits.max_request_bytes;
        let mut request = request.map(|body| Body::new(Inbound::new(body, max)));
        if !rpc.client_streaming {
            let arrived = timeout_at(deadline, self.read_message(request)).await;
            request = arrived.map_err(|_| deadline_exceeded())??;
        }
        let permits = self.permits(rpc, request.uri().path(), account)?;
        let routes = self.services.routes(request.uri().path());
        let work = routes.oneshot(request).instrument(span.clone());
        let work = async {
            let Ok(response) = work.await;
            if rpc.server_streaming {
                return Ok((response, permits));
            }
            let whole = self.whole(response, account, permits).await?;
            Ok((whole, Permits::default()))
        };
        match timeout_at(deadline, AssertUnwindSafe(work).catch_unwind()).await {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => Err(panicked(rpc, panic.as_ref())),
            Err(_) => Err(deadline_exceeded()),
        }
    }

    /// The permits of a request, which it holds until its response has been sent. `Health.Check` needs none: it is
    /// served even under overload.
    fn permits(&self, rpc: &Rpc, path: &str, account: Option<&Account>) -> Result<Permits, Status> {
        let streams = rpc.server_streaming;
        if rpc.is_health() && !streams {
            return Ok(Permits::default());
        }
        if account.is_some_and(Account::is_full) {
            return Err(overloaded());
        }
        let permits = self
            .concurrency
            .try_acquire(streams, context_of(path), account);
        permits.ok_or_else(overloaded)
    }

    /// A response with its one message in one piece, which counts as waiting and holds the permits until it has been sent.
    async fn whole(
        &self,
        response: Response<Body>,
        account: Option<&Account>,
        permits: Permits,
    ) -> Result<Response<Body>, Status> {
        if code_of(response.headers()).is_some() {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        let max =
            FRAME_HEADER + usize::try_from(self.limits.max_answer_bytes).unwrap_or(usize::MAX);
        let collected = Limited::new(body, max).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return too_long(format_args!("more than {max}"));
            }
            Status::from_error(error)
        })?;
        let trailers = collected.trailers().cloned();
        let port = &self.concurrency.port;
        let bytes = count_waiting(collected.to_bytes(), port, account, permits);
        let body = Full::new(bytes.ok_or_else(overloaded)?).with_trailers(ready(trailers.map(Ok)));
        Ok(Response::from_parts(head, Body::new(body)))
    }

    /// Reads the one message of a unary request. Usually it is there at once, or nearly.
    async fn read_message(&self, request: Request<Body>) -> Result<Request<Body>, Status> {
        let source = request.extensions().get::<Source>().cloned();
        let (head, body) = request.into_parts();
        let max =
            FRAME_HEADER + usize::try_from(self.limits.max_request_bytes).unwrap_or(usize::MAX);
        let mut reading = Box::pin(read(body, max));
        let message = match poll!(&mut reading) {
            Poll::Ready(message) => message,
            Poll::Pending => {
                let arrived = self.pending.wait(source, reading).await;
                arrived.ok_or_else(overloaded)?
            }
        };
        Ok(Request::from_parts(head, Body::new(Full::new(message?))))
    }
}

/// Reads a body into one piece: its caller may send it byte by byte, and each part has a cost.
async fn read(mut body: Body, max: usize) -> Result<Bytes, Status> {
    let mut message = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        let data = frame.data_ref().map_or(&[][..], |data| &data[..]);
        if message.len() + data.len() > max {
            return Err(malformed("the request is more than one message"));
        }
        message.extend_from_slice(data);
    }
    Ok(message.freeze())
}

/// The response to what is not gRPC.
fn http_error(request: &Request<Body>) -> Option<Response<Body>> {
    let mut response = Response::new(Body::empty());
    if request.method() != Method::POST {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        let allowed = HeaderValue::from_static("POST");
        response.headers_mut().insert(ALLOW, allowed);
    } else if !is_grpc(request.headers()) {
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    } else {
        return None;
    }
    Some(response)
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let given = headers.get(CONTENT_TYPE);
    let given = given.and_then(|value| value.to_str().ok());
    let kind = given.and_then(|given| given.split(';').next());
    let is_ours = |kind: &str| {
        GRPC.iter()
            .any(|ours| ours.eq_ignore_ascii_case(kind.trim()))
    };
    kind.is_some_and(is_ours)
}

/// The size of headers as HTTP/2 counts it: 32 bytes for each beside its name and value.
fn size_of(headers: &HeaderMap) -> usize {
    let sizes = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 32);
    sizes.sum()
}

/// Replaces an INTERNAL without details: tonic returns it for a request that it cannot decode, which is the caller's fault.
fn as_invalid_request(response: Response<Body>) -> Response<Body> {
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
