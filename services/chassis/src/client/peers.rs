//! Peers: the other contexts' services, called through the same interface in one process and across many.
//!
//! In one process a call goes straight to the callee's guarded routes, without a socket; across processes it goes over a
//! lazily connected HTTP/2 channel, with a token of the calling service, the person's token and the trace in its headers.
//! Around both: the caller's deadline (5 seconds if there is none), a circuit breaker and a limit of calls in flight for
//! each callee, so that a callee that is down or slow costs its callers little; and another try where that is safe and may
//! help (`again`).
//!
//! The breaker is told one outcome for each call, however many tries it took: that of the last. So a callee that restarts
//! does not look down to it when the second try is answered, and one that is down is noticed after as many calls as
//! without further tries. The call by which an open breaker tries its callee is tried once.
//!
//! Fault points for tests: `peer.<context>` makes tries fail as if the context were down, `peer.<context>.slow` makes them
//! unanswered until the deadline.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use berth::inspection::v1 as inspection;
use futures::future::BoxFuture;
use tokio::time::{Instant, timeout_at};
use tonic::{
    Code, Status,
    body::Body,
    service::Routes,
    transport::{Channel, Endpoint},
};
use tower::{Service, ServiceExt};

use crate::{
    base::{clock::Clock, faults::Faults, last_outcome::Track, time::to_proto},
    client::{
        answer::{Answer, absent, code},
        breaker::{Breaker, Pass},
        remote::Remote,
        retry,
        retry::Budget,
    },
    contract::headers,
    error::status::{coded, unavailable},
    security::{caller::Caller, service_identity::ServiceKey},
};

/// How long a call may take if the caller does not say.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);
/// How many calls to one context may be in flight.
pub const MAX_IN_FLIGHT: usize = 256;
/// A call that is given less time than this and not answered says nothing about the callee: otherwise impatient clients
/// could open the breaker for everybody.
const FAIR: Duration = Duration::from_millis(100);

type Call = dyn Fn(http::Request<Body>) -> BoxFuture<'static, Answer> + Send + Sync;

/// The services of the other contexts, by name. Clones are the same.
#[derive(Clone, Debug)]
pub struct Peers {
    own: Option<&'static str>,
    all: Arc<All>,
}

#[derive(Debug)]
struct All {
    clock: Clock,
    faults: Faults,
    service_key: Option<ServiceKey>,
    links: RwLock<BTreeMap<String, Arc<Link>>>,
}

impl Default for Peers {
    fn default() -> Self {
        Self::new()
    }
}

impl Peers {
    /// Nobody yet, by the machine's clock and without faults.
    pub fn new() -> Self {
        Self::with(Clock::System, Faults::default(), None)
    }

    /// Nobody yet. The service key is needed for calls to other processes only.
    pub fn with(clock: Clock, faults: Faults, service_key: Option<ServiceKey>) -> Self {
        Self {
            own: None,
            all: Arc::new(All {
                clock,
                faults,
                service_key,
                links: RwLock::default(),
            }),
        }
    }

    /// The same peers, called by a service of the platform. What asks on behalf of clients only, such as a gateway, must
    /// not use it: it would lend them its identity.
    #[must_use]
    pub fn called_by(&self, own: &'static str) -> Self {
        Self {
            own: Some(own),
            all: self.all.clone(),
        }
    }

    /// Adds a context that runs in this process: a call goes straight to its routes, which should be guarded.
    pub fn add_local(&self, context: &str, routes: Routes) {
        let routes = routes.prepare();
        let link = self.link(context);
        link.is_at(Place::Here);
        link.connect(Arc::new(move |request| {
            let routes = routes.clone();
            Box::pin(async move {
                match routes.oneshot(request).await {
                    Ok(response) => Ok(response),
                    Err(never) => match never {},
                }
            })
        }));
    }

    /// Adds a context that runs elsewhere, by address (`http://payment:8080`). It is connected to when it is first called.
    /// Needs a running runtime.
    pub fn add_remote(&self, context: &str, uri: &str) -> Result<(), tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(uri.to_owned())?
            .connect_timeout(Duration::from_secs(1))
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true)
            .tcp_nodelay(true);
        self.add_channel(context, endpoint.connect_lazy());
        self.link(context).is_at(Place::At(uri.to_owned()));
        Ok(())
    }

    /// Adds a context that runs elsewhere, by a channel.
    pub fn add_channel(&self, context: &str, channel: Channel) {
        let (key, clock) = (self.all.service_key.clone(), self.all.clock.clone());
        let remote = Arc::new(Remote::new(context, key, clock));
        self.link(context).connect(Arc::new(move |request| {
            let (remote, channel) = (remote.clone(), channel.clone());
            Box::pin(async move { remote.call(channel, request).await })
        }));
    }

    /// Forgets everybody. The routes of a context know its peers, so else they would keep each other for ever.
    pub(crate) fn forget(&self) {
        let links = self.all.links.read();
        for link in links.unwrap_or_else(PoisonError::into_inner).values() {
            *link.call.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// A channel to a context, for its generated client. It may be made before the context is there.
    pub fn to(&self, context: &str) -> Peer {
        Peer {
            own: self.own,
            link: self.link(context),
        }
    }

    /// How the peers are, as who calls them sees it.
    pub(crate) fn inspect(&self) -> Vec<inspection::Peer> {
        let links = self.all.links.read();
        let links = links.unwrap_or_else(PoisonError::into_inner);
        links.values().map(|link| link.inspect()).collect()
    }

    fn link(&self, context: &str) -> Arc<Link> {
        let links = &self.all.links;
        let known = links.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = known.get(context) {
            return link.clone();
        }
        drop(known);
        let mut links = links.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Link::new(context, &self.all));
        links.entry(context.to_owned()).or_insert_with(new).clone()
    }
}

/// A channel to a context: `PaymentServiceClient::new(deps.peers.to("payment"))`.
#[derive(Clone, Debug)]
pub struct Peer {
    own: Option<&'static str>,
    link: Arc<Link>,
}

impl Service<http::Request<Body>> for Peer {
    type Response = http::Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let asked = headers::timeout(request.headers()).unwrap_or(DEFAULT_DEADLINE);
        let now = Instant::now();
        let asked = now.checked_add(asked).unwrap_or(now + DEFAULT_DEADLINE);
        let caller = request.extensions_mut().get_or_insert_default::<Caller>();
        if let Some(own) = self.own {
            caller.service = Some(own.to_owned());
        }
        let deadline = caller
            .deadline
            .map_or(asked, |deadline| deadline.min(asked));
        caller.deadline = Some(deadline);
        let link = self.link.clone();
        Box::pin(async move { link.call(request, deadline).await })
    }
}

/// The way to one context, shared by all who call it from this process.
struct Link {
    context: String,
    call: RwLock<Option<Arc<Call>>>,
    breaker: Breaker,
    in_flight: AtomicUsize,
    place: Mutex<Place>,
    clock: Clock,
    track: Track,
    faults: Faults,
    down: String,
    slow: String,
    budget: Budget,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

impl Link {
    fn new(context: &str, all: &All) -> Self {
        Self {
            context: context.to_owned(),
            call: RwLock::default(),
            breaker: Breaker::new(context, all.clock.clone()),
            in_flight: AtomicUsize::new(0),
            place: Mutex::default(),
            clock: all.clock.clone(),
            track: Track::default(),
            faults: all.faults.clone(),
            down: format!("peer.{context}"),
            slow: format!("peer.{context}.slow"),
            budget: Budget::new(context),
        }
    }

    fn connect(&self, call: Arc<Call>) {
        *self.call.write().unwrap_or_else(PoisonError::into_inner) = Some(call);
    }

    async fn call(&self, request: http::Request<Body>, deadline: Instant) -> Answer {
        let patience = deadline.saturating_duration_since(Instant::now());
        if patience.is_zero() {
            return Err(too_late());
        }
        let mut permit = self.admit()?;
        let answer = match timeout_at(deadline, self.tries(request, permit.pass, deadline)).await {
            Ok(Err(_)) if deadline <= Instant::now() => Err(too_late()),
            Ok(answer) => answer,
            Err(_) => Err(too_late()),
        };
        permit.failed = match code(&answer) {
            Code::DeadlineExceeded if patience < FAIR => None,
            code => Some(is_failure(code)),
        };
        match permit.failed {
            Some(true) => self.track.fails(self.clock.now(), &Failure(&answer)),
            Some(false) => {
                self.track.succeeds(self.clock.now());
                self.track.recovers();
            }
            None => {}
        }
        answer
    }

    fn is_at(&self, place: Place) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }

    fn inspect(&self) -> inspection::Peer {
        let place = self
            .place
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let failure = self.track.failure();
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        inspection::Peer {
            peer: self.context.clone(),
            in_process: place == Place::Here,
            address: match place {
                Place::At(uri) => uri,
                Place::Unknown | Place::Here => String::new(),
            },
            breaker_state: self.breaker.standing().into(),
            in_flight: i32::try_from(in_flight).unwrap_or(i32::MAX),
            last_answer_time: self.track.success().map(to_proto),
            last_failure_time: failure.as_ref().map(|(at, _)| to_proto(*at)),
            last_failure: failure.map(|(_, why)| why).unwrap_or_default(),
        }
    }

    /// Makes the call, and again if that is safe and may help.
    async fn tries(
        &self,
        request: http::Request<Body>,
        pass: Option<Pass>,
        deadline: Instant,
    ) -> Answer {
        if pass != Some(Pass::Normal) || !retry::may_be(request.uri().path()) {
            return self.send(request).await;
        }
        self.budget.earn();
        let call = retry::Call::read(request).await?;
        let mut answer = self.send(call.request()).await;
        for tries in retry::tries() {
            let Some(wait) = retry::wait(&answer, tries, deadline) else {
                break;
            };
            if !self.budget.spend() {
                break;
            }
            tokio::time::sleep(wait).await;
            if !self.breaker.is_closed() {
                break;
            }
            answer = self.send(call.request()).await;
            self.budget.tried(&answer);
        }
        answer
    }

    async fn send(&self, request: http::Request<Body>) -> Answer {
        if self.faults.pass(&self.down).is_err() {
            return Err(absent());
        }
        if self.faults.pass(&self.slow).is_err() {
            std::future::pending::<()>().await;
        }
        let call = self
            .call
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match call {
            Some(call) => call(request).await,
            None => Err(absent()),
        }
    }

    fn admit(&self) -> Result<Permit<'_>, Status> {
        // The place first: a probe that the breaker has let through must be made.
        let in_flight = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let mut permit = Permit {
            link: self,
            pass: None,
            failed: None,
        };
        if in_flight >= MAX_IN_FLIGHT {
            return Err(unavailable("PEER_BUSY", "a service that is needed is busy"));
        }
        permit.pass = self.breaker.admit();
        match permit.pass {
            Some(_) => Ok(permit),
            None => Err(unavailable(
                "CIRCUIT_OPEN",
                "a service that is needed does not answer right now",
            )),
        }
    }
}

/// A call in flight. However it ends, its place is given back and the breaker is told.
struct Permit<'a> {
    link: &'a Link,
    pass: Option<Pass>,
    failed: Option<bool>,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.link.in_flight.fetch_sub(1, Ordering::Relaxed);
        if let Some(pass) = self.pass {
            self.link.breaker.note(pass, self.failed);
        }
    }
}

/// Where a context runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Nobody has said.
    #[default]
    Unknown,
    /// In this process.
    Here,
    /// At a URL.
    At(String),
}

/// Why a call failed, for whoever operates the platform.
struct Failure<'a>(&'a Answer);

impl std::fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Err(status) = self.0 else {
            return write!(f, "{:?}", code(self.0));
        };
        write!(f, "{:?}: {}", status.code(), status.message())?;
        let mut source = std::error::Error::source(status);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

/// Whether the callee failed. A "no" to the caller is not a failure.
fn is_failure(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Internal
            | Code::Unknown
            | Code::DataLoss
    )
}

fn too_late() -> Status {
    coded(
        Code::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
        "the answer did not come in time",
    )
}
