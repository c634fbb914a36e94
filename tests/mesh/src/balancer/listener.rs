//! The request handlers of the balancer's ports: they route each request to a context.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use http::{Request, Response, header::CONTENT_TYPE};
use tonic::{Status, body::Body, service::Routes};
use tower::{Service, ServiceExt};

use super::{pool::Pool, replica::Port};

/// The route to a port of the replicas of a context.
#[derive(Clone, Debug)]
pub(super) struct Route(pub(super) Arc<Pool>, pub(super) Port);

/// The handler of one port.
#[derive(Clone, Debug)]
pub(super) struct Handler(Arc<Target>);

#[derive(Debug)]
enum Target {
    /// All contexts, by the package of the rpc; the balancer itself serves the other rpcs.
    AllContexts(BTreeMap<String, Route>, Routes),
    /// One context.
    Context(Route),
    /// The metrics of the balancer.
    Metrics(Vec<Arc<Pool>>),
}

impl Handler {
    pub(super) fn public(routes: BTreeMap<String, Route>, own: Routes) -> Self {
        Self(Arc::new(Target::AllContexts(routes, own.prepare())))
    }

    pub(super) fn of(route: Route) -> Self {
        Self(Arc::new(Target::Context(route)))
    }

    pub(super) fn metrics(pools: impl IntoIterator<Item = Arc<Pool>>) -> Self {
        Self(Arc::new(Target::Metrics(pools.into_iter().collect())))
    }

    /// Metrics are also served over HTTP/1.
    pub(super) fn speaks_http1(&self) -> bool {
        matches!(*self.0, Target::Metrics(_))
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path();
        let route = match &*self.0 {
            Target::Context(route) => route,
            Target::Metrics(pools) => return metrics(path, pools),
            Target::AllContexts(routes, own) => match context_of(path) {
                None => return serve_own(own, request).await,
                Some(context) => match routes.get(context) {
                    None => return Status::unimplemented("there is no such service").into_http(),
                    Some(route) => route,
                },
            },
        };
        route.0.answer(route.1, request).await
    }
}

impl Service<Request<Body>> for Handler {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let handler = self.clone();
        Box::pin(async move { Ok(handler.answer(request).await) })
    }
}

async fn serve_own(own: &Routes, request: Request<Body>) -> Response<Body> {
    match own.clone().oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}

fn metrics(path: &str, pools: &[Arc<Pool>]) -> Response<Body> {
    let mut text = String::new();
    for pool in pools {
        pool.render(&mut text);
    }
    let mut answer = Response::new(Body::empty());
    if path == "/metrics" {
        let kind = http::HeaderValue::from_static("text/plain; version=0.0.4");
        answer.headers_mut().insert(CONTENT_TYPE, kind);
        *answer.body_mut() = Body::new(text);
    } else {
        *answer.status_mut() = http::StatusCode::NOT_FOUND;
    }
    answer
}

/// `room` of `/berth.room.v1.RoomService/GetRoom`.
fn context_of(path: &str) -> Option<&str> {
    path.strip_prefix("/berth.")?.split('.').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_contains_its_context() {
        assert_eq!(
            context_of("/berth.room.v1.RoomService/GetRoom"),
            Some("room")
        );
        assert_eq!(context_of("/grpc.health.v1.Health/Check"), None);
    }
}
