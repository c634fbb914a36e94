//! The admin port, which is not public: metrics and the log filter over HTTP, everything else over gRPC.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, Request},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::future::BoxFuture;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, HOST, ORIGIN},
    uri::Authority,
};
use tonic::{body::Body, service::Routes};
use tower::ServiceExt;

use crate::{
    contract::headers,
    server::{listener::Connection, pipeline::RequestPipeline},
    telemetry::{
        self, LogFilter,
        audit::{self, Change},
        logs::MAX_FILTER,
    },
};

/// Says whose access token this is, if it is that of an ADMIN.
pub(crate) type Operators = Arc<dyn Fn(String) -> BoxFuture<'static, Option<String>> + Send + Sync>;

/// The routes of the admin port.
pub(crate) fn routes(
    log: Option<LogFilter>,
    operators: Operators,
    rpcs: RequestPipeline,
) -> Routes {
    let rpcs = rpcs.map_request(|request: Request| request.map(Body::new));
    let read = {
        let log = log.clone();
        move || async move { show(log.as_ref()) }
    };
    let change =
        async move |Extension(from): Extension<Connection>, headers: HeaderMap, filter: String| {
            let who = match operator(&from, &headers, &operators).await {
                Ok(who) => who,
                Err(refused) => return refused.into_response(),
            };
            change(log.as_ref(), &who, &filter)
        };
    let log = get(read)
        .put(change)
        .layer(DefaultBodyLimit::max(MAX_FILTER))
        .layer(from_fn(from_here));
    Routes::from(
        Router::new()
            .route("/metrics", get(async || exposition()))
            .route("/log", log)
            .fallback_service(rpcs),
    )
    .prepare()
}

fn exposition() -> Response {
    match telemetry::metrics() {
        Some(metrics) => (
            [(CONTENT_TYPE, "text/plain; version=0.0.4")],
            metrics.render(),
        )
            .into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "no metrics\n").into_response(),
    }
}

fn show(log: Option<&LogFilter>) -> Response {
    match log.map(LogFilter::get) {
        Some(Ok(filter)) => format!("{filter}\n").into_response(),
        Some(Err(error)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
        None => (StatusCode::NOT_FOUND, "this process has no log filter\n").into_response(),
    }
}

type Refused = (StatusCode, &'static str);

/// Refuses what a web page has made a browser send: it names the page as its origin, or a name that the page's server has
/// let point to this machine.
async fn from_here(request: Request, next: Next) -> Response {
    let hosts = request.headers().get_all(HOST).iter();
    let mut hosts = hosts.map(|host| Authority::try_from(host.as_bytes()).ok());
    let host = hosts
        .next()
        .unwrap_or_else(|| request.uri().authority().cloned());
    let is_direct = host.is_some_and(|host| is_literal(host.host())) && hosts.next().is_none();
    if !is_direct || request.headers().contains_key(ORIGIN) {
        let refused: Refused = (
            StatusCode::FORBIDDEN,
            "only by address, and from no web page\n",
        );
        return refused.into_response();
    }
    next.run(request).await
}

fn is_literal(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok()
}

/// The operator who changes the log: an ADMIN, on the machine itself (in a cluster: through `kubectl port-forward`), because
/// a verbose log reveals more, and one that is off hides what is done.
async fn operator(
    from: &Connection,
    headers: &HeaderMap,
    operators: &Operators,
) -> Result<String, Refused> {
    if !from.remote.ip().to_canonical().is_loopback() {
        return Err((StatusCode::FORBIDDEN, "only from this machine\n"));
    }
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    if kind != Some(b"text/plain") {
        return Err((
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content-type must be text/plain\n",
        ));
    }
    let who = match headers::bearer(headers) {
        Ok(Some(token)) => operators(token.to_owned()).await,
        Ok(None) | Err(()) => None,
    };
    let refused = (
        StatusCode::UNAUTHORIZED,
        "only with the access token of an ADMIN\n",
    );
    who.ok_or(refused)
}

fn change(log: Option<&LogFilter>, who: &str, filter: &str) -> Response {
    let Some(log) = log else { return show(None) };
    // Logged under the filter before and under the one after: either may hide it.
    let record = |what| tracing::warn!(who, filter = filter.trim(), "{what}");
    if let Err(error) = log.set(filter, || record("log filter will be changed")) {
        return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response();
    }
    record("log filter changed");
    audit::record(&Change {
        actor: who,
        service: "",
        action: "PUT /log",
        subject: filter.trim(),
        outcome: "OK",
        request_id: "",
    });
    show(Some(log))
}
