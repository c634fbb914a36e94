//! The registry of the other contexts' services, called through the same interface in one process and across many.
//!
//! In one process a call goes straight to the callee's guarded routes, without a socket. Across processes it goes over a
//! lazily connected HTTP/2 channel, with a token of the calling service, the person's token and the trace in its headers.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
    time::Duration,
};

use berth::inspection::v1 as inspection;
use futures::future::BoxFuture;
use tokio::time::Instant;
use tonic::{Status, body::Body, service::Routes, transport::Endpoint};
use tower::{Service, ServiceExt};

use crate::{
    base::{clock::Clock, faults::Faults},
    client::{
        call_path::{CallPath, Target},
        remote::Remote,
        response::CallResult,
    },
    contract::headers,
    security::{caller::Caller, service_identity::ServiceKey},
};

pub use crate::client::call_path::MAX_IN_FLIGHT;

/// How long a call may take without a deadline of the caller.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);

/// The services of the other contexts, by name. Clones are the same.
#[derive(Clone, Debug)]
pub struct Peers {
    own: Option<&'static str>,
    registry: Arc<Registry>,
}

#[derive(Debug)]
struct Registry {
    clock: Clock,
    faults: Faults,
    service_key: Option<ServiceKey>,
    paths: RwLock<BTreeMap<String, Arc<CallPath>>>,
}

impl Default for Peers {
    fn default() -> Self {
        Self::new()
    }
}

impl Peers {
    /// No peers, with the machine's clock and without faults.
    pub fn new() -> Self {
        Self::with(Clock::System, Faults::default(), None)
    }

    /// No peers. The private key of this process is needed only for calls to other processes.
    pub fn with(clock: Clock, faults: Faults, service_key: Option<ServiceKey>) -> Self {
        Self {
            own: None,
            registry: Arc::new(Registry {
                clock,
                faults,
                service_key,
                paths: RwLock::default(),
            }),
        }
    }

    /// The same peers, called by a service of the platform. A gateway, which calls only on behalf of clients, must not use
    /// it: its clients would call with its identity.
    #[must_use]
    pub fn called_by(&self, own: &'static str) -> Self {
        Self {
            own: Some(own),
            registry: self.registry.clone(),
        }
    }

    /// Adds a context of this process: a call goes straight to its routes, which should be guarded.
    pub fn add_local(&self, context: &str, routes: Routes) {
        let routes = routes.prepare();
        self.path(context).connect(Target {
            in_process: true,
            call: Some(Arc::new(move |request| {
                let routes = routes.clone();
                Box::pin(async move {
                    match routes.oneshot(request).await {
                        Ok(response) => Ok(response),
                        Err(never) => match never {},
                    }
                })
            })),
            ..Target::default()
        });
    }

    /// Adds a context of another process, by address (`http://payment:8080`). The first call connects to it. Needs a
    /// running runtime.
    pub fn add_remote(&self, context: &str, uri: &str) -> Result<(), tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(uri.to_owned())?
            .connect_timeout(Duration::from_secs(1))
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true)
            .tcp_nodelay(true);
        let Registry {
            service_key, clock, ..
        } = &*self.registry;
        let channel = endpoint.connect_lazy();
        let remote = Remote::new(context, channel, service_key.clone(), clock.clone());
        let remote = Arc::new(remote);
        self.path(context).connect(Target {
            address: uri.to_owned(),
            call: Some(Arc::new(move |request| {
                let remote = remote.clone();
                Box::pin(async move { remote.call(request).await })
            })),
            ..Target::default()
        });
        Ok(())
    }

    /// Disconnects all peers. The routes of a context hold its peers, so without this they would keep each other alive.
    pub(crate) fn disconnect(&self) {
        let paths = self.registry.paths.read();
        for path in paths.unwrap_or_else(PoisonError::into_inner).values() {
            path.disconnect();
        }
    }

    /// A channel to a context, for its generated client. It may be made before the context is added.
    pub fn to(&self, context: &str) -> Peer {
        Peer {
            own: self.own,
            path: self.path(context),
        }
    }

    /// The state of the peers as their callers see it.
    pub(crate) fn inspect(&self) -> Vec<inspection::Peer> {
        let paths = self.registry.paths.read();
        let paths = paths.unwrap_or_else(PoisonError::into_inner);
        paths.values().map(|path| path.inspect()).collect()
    }

    fn path(&self, context: &str) -> Arc<CallPath> {
        let Registry {
            paths,
            clock,
            faults,
            ..
        } = &*self.registry;
        let known = paths.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = known.get(context) {
            return path.clone();
        }
        drop(known);
        let mut paths = paths.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(CallPath::new(context, clock.clone(), faults.clone()));
        paths.entry(context.to_owned()).or_insert_with(new).clone()
    }
}

/// A channel to a context: `PaymentServiceClient::new(deps.peers.to("payment"))`.
#[derive(Clone, Debug)]
pub struct Peer {
    own: Option<&'static str>,
    path: Arc<CallPath>,
}

impl Service<http::Request<Body>> for Peer {
    type Response = http::Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, CallResult>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let timeout = headers::timeout(request.headers()).unwrap_or(DEFAULT_DEADLINE);
        let now = Instant::now();
        let own_deadline = now.checked_add(timeout).unwrap_or(now + DEFAULT_DEADLINE);
        let caller = request.extensions_mut().get_or_insert_default::<Caller>();
        if let Some(own) = self.own {
            caller.service = Some(own.to_owned());
        }
        let deadline = caller
            .deadline
            .map_or(own_deadline, |deadline| deadline.min(own_deadline));
        caller.deadline = Some(deadline);
        let path = self.path.clone();
        Box::pin(async move { path.call(request, deadline).await })
    }
}
