//! The doors: whose request goes where.

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

/// To a port of the replicas of a context.
#[derive(Clone, Debug)]
pub(super) struct Way(pub(super) Arc<Pool>, pub(super) Port);

/// A door.
#[derive(Clone, Debug)]
pub(super) struct Door(Arc<Leads>);

#[derive(Debug)]
enum Leads {
    /// By the package of the rpc; what belongs to no context is answered here.
    Everywhere(BTreeMap<String, Way>, Routes),
    /// To one context.
    To(Way),
    /// To the metrics.
    Metrics(Vec<Arc<Pool>>),
}

impl Door {
    pub(super) fn public(ways: BTreeMap<String, Way>, own: Routes) -> Self {
        Self(Arc::new(Leads::Everywhere(ways, own.prepare())))
    }

    pub(super) fn of(way: Way) -> Self {
        Self(Arc::new(Leads::To(way)))
    }

    pub(super) fn metrics(pools: impl IntoIterator<Item = Arc<Pool>>) -> Self {
        Self(Arc::new(Leads::Metrics(pools.into_iter().collect())))
    }

    /// Metrics are read with HTTP/1, too.
    pub(super) fn speaks_http1(&self) -> bool {
        matches!(*self.0, Leads::Metrics(_))
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path();
        let way = match &*self.0 {
            Leads::To(way) => way,
            Leads::Metrics(pools) => return metrics(path, pools),
            Leads::Everywhere(ways, own) => match context_of(path) {
                None => return here(own, request).await,
                Some(context) => match ways.get(context) {
                    None => return Status::unimplemented("there is no such service").into_http(),
                    Some(way) => way,
                },
            },
        };
        way.0.answer(way.1, request).await
    }
}

impl Service<Request<Body>> for Door {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let door = self.clone();
        Box::pin(async move { Ok(door.answer(request).await) })
    }
}

async fn here(own: &Routes, request: Request<Body>) -> Response<Body> {
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
    fn a_path_names_its_context() {
        assert_eq!(
            context_of("/berth.room.v1.RoomService/GetRoom"),
            Some("room")
        );
        assert_eq!(context_of("/grpc.health.v1.Health/Check"), None);
    }
}
