//! Peers: the other contexts' services, called through the same interface in one process and across many.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use tonic::{Status, body::Body, service::Routes};
use tower::{Service, ServiceExt};

use crate::{caller::Caller, status::unavailable};

type Answer = Result<http::Response<Body>, Status>;
type Call = dyn Fn(http::Request<Body>) -> BoxFuture<'static, Answer> + Send + Sync;

/// The services of the other contexts, by name.
#[derive(Clone, Default)]
pub struct Peers {
    own: Option<&'static str>,
    calls: Arc<RwLock<BTreeMap<String, Arc<Call>>>>,
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peers")
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

impl Peers {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same peers, called on behalf of a context.
    #[must_use]
    pub fn called_by(&self, own: &'static str) -> Self {
        Self {
            own: Some(own),
            calls: self.calls.clone(),
        }
    }

    /// Adds a context that runs in this process: a call goes straight to its routes.
    pub fn add_local(&self, context: &str, routes: Routes) {
        let routes = routes.prepare();
        let call: Arc<Call> = Arc::new(move |request| {
            let routes = routes.clone();
            Box::pin(async move {
                match routes.oneshot(request).await {
                    Ok(response) => Ok(response),
                    Err(never) => match never {},
                }
            })
        });
        self.calls
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(context.to_owned(), call);
    }

    /// A channel to a context, for its generated client. It may be made before the context is there.
    pub fn to(&self, context: &str) -> Peer {
        Peer {
            context: context.to_owned(),
            own: self.own,
            calls: self.calls.clone(),
        }
    }
}

/// A channel to a context: `PaymentServiceClient::new(deps.peers.to("payment"))`.
#[derive(Clone)]
pub struct Peer {
    context: String,
    own: Option<&'static str>,
    calls: Arc<RwLock<BTreeMap<String, Arc<Call>>>>,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

impl Service<http::Request<Body>> for Peer {
    type Response = http::Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let call = self
            .calls
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&self.context)
            .cloned();
        let Some(call) = call else {
            let error = unavailable("PEER_UNAVAILABLE", "a service that is needed is not there");
            return Box::pin(std::future::ready(Err(error)));
        };
        if let Some(own) = self.own {
            let caller = request.extensions_mut().get_or_insert_default::<Caller>();
            caller.service = Some(own.to_owned());
        }
        call(request)
    }
}
