//! The admin port, which is not public: metrics and the log filter over HTTP, everything else over gRPC.

use axum::{
    Extension, Router,
    extract::DefaultBodyLimit,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header::CONTENT_TYPE};
use tonic::{body::Body, service::Routes};
use tower::ServiceExt;

use crate::{
    server::{listener::Connection, pipeline::RequestPipeline},
    telemetry::{
        self, LogFilter,
        audit::{self, Change},
    },
};

/// The longest log filter, in bytes.
const MAX_FILTER: usize = 4096;

/// The routes of the admin port.
pub(crate) fn routes(log: Option<LogFilter>, rpcs: RequestPipeline) -> Routes {
    let rpcs = rpcs.map_request(|request: axum::extract::Request| request.map(Body::new));
    let read = {
        let log = log.clone();
        move || async move { show(log.as_ref()) }
    };
    let change = move |Extension(from): Extension<Connection>, filter: String| async move {
        change(log.as_ref(), &from, &filter)
    };
    let log = get(read)
        .put(change)
        .layer(DefaultBodyLimit::max(MAX_FILTER));
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

/// Allowed only from the machine itself (in a cluster: through `kubectl port-forward`), because a verbose log reveals more.
fn change(log: Option<&LogFilter>, from: &Connection, filter: &str) -> Response {
    if !from.remote.ip().to_canonical().is_loopback() {
        return (StatusCode::FORBIDDEN, "only from this machine\n").into_response();
    }
    if let Some(Err(error)) = log.map(|log| log.set(filter)) {
        return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response();
    }
    tracing::info!(filter = filter.trim(), "log filter changed");
    audit::record(&Change {
        actor: &from.remote.to_string(),
        service: "",
        action: "PUT /log",
        subject: filter.trim(),
        outcome: "OK",
        request_id: "",
    });
    show(log)
}
