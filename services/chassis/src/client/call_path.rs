//! How one peer is called: with the caller's deadline, a circuit breaker and a limit of calls in flight, so that a peer that
//! is down or slow costs its callers little, and again where that is safe and may help (`retry`).
//!
//! The breaker counts one outcome for each call: that of the last try. So a peer that restarts does not open the breaker if
//! a second try succeeds, and one that is down is detected after as many calls as without retries. The probe of an open
//! breaker is not retried.
//!
//! Fault points for tests: `peer.<context>` makes tries fail as if the context were down, `peer.<context>.slow` lets them run
//! into the deadline.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use berth::inspection::v1 as inspection;
use futures::future::BoxFuture;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep, timeout_at},
};
use tonic::{Code, Status, body::Body};

use crate::{
    base::{clock::Clock, faults::Faults, last_outcome::LastOutcome, time::to_proto},
    client::{
        breaker::{Breaker, Pass},
        response::{CallResult, Failure, code, deadline_exceeded, is_failure, peer_unavailable},
        retry::{self, Budget},
    },
    error::status::unavailable,
};

/// How many calls to one peer may be in flight.
pub const MAX_IN_FLIGHT: usize = 256;
/// A call with a shorter deadline than this that runs into it says nothing about the peer: otherwise impatient clients could
/// open the breaker for all callers.
const SHORTEST_TELLING_DEADLINE: Duration = Duration::from_millis(100);

type Call = dyn Fn(http::Request<Body>) -> BoxFuture<'static, CallResult> + Send + Sync;

/// Where a peer runs.
#[derive(Clone, Default)]
pub(super) struct Target {
    pub(super) in_process: bool,
    /// Its URL, if it was added by one.
    pub(super) address: String,
    /// None while the peer is not there.
    pub(super) call: Option<Arc<Call>>,
}

/// The way to one peer, shared by all its callers in this process.
pub(super) struct CallPath {
    context: String,
    target: RwLock<Target>,
    breaker: Breaker,
    permits: Semaphore,
    clock: Clock,
    last_outcome: LastOutcome,
    faults: Faults,
    fault_down: String,
    fault_slow: String,
    budget: Budget,
}

impl fmt::Debug for CallPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallPath")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

impl CallPath {
    pub(super) fn new(context: &str, clock: Clock, faults: Faults) -> Self {
        Self {
            context: context.to_owned(),
            target: RwLock::default(),
            breaker: Breaker::new(context, clock.clone()),
            permits: Semaphore::new(MAX_IN_FLIGHT),
            clock,
            last_outcome: LastOutcome::default(),
            faults,
            fault_down: format!("peer.{context}"),
            fault_slow: format!("peer.{context}.slow"),
            budget: Budget::new(context),
        }
    }

    pub(super) fn connect(&self, target: Target) {
        *self.target.write().unwrap_or_else(PoisonError::into_inner) = target;
    }

    pub(super) fn disconnect(&self) {
        let mut target = self.target.write().unwrap_or_else(PoisonError::into_inner);
        target.call = None;
    }

    pub(super) fn inspect(&self) -> inspection::Peer {
        let target = self.target.read();
        let target = target.unwrap_or_else(PoisonError::into_inner).clone();
        let failure = self.last_outcome.failure();
        let in_flight = MAX_IN_FLIGHT - self.permits.available_permits();
        inspection::Peer {
            peer: self.context.clone(),
            in_process: target.in_process,
            address: target.address,
            breaker_state: self.breaker.inspect().into(),
            in_flight: i32::try_from(in_flight).unwrap_or(i32::MAX),
            last_answer_time: self.last_outcome.success().map(to_proto),
            last_failure_time: failure.as_ref().map(|(at, _)| to_proto(*at)),
            last_failure: failure.map(|(_, why)| why).unwrap_or_default(),
        }
    }

    pub(super) async fn call(&self, request: http::Request<Body>, deadline: Instant) -> CallResult {
        let timeout = deadline.saturating_duration_since(Instant::now());
        if timeout.is_zero() {
            return Err(deadline_exceeded());
        }
        let mut admitted = self.admit()?;
        let tries = self.call_with_retries(request, admitted.pass, deadline);
        let result = match timeout_at(deadline, tries).await {
            Ok(Err(_)) if deadline <= Instant::now() => Err(deadline_exceeded()),
            Ok(result) => result,
            Err(_) => Err(deadline_exceeded()),
        };
        admitted.failed = match code(&result) {
            Code::DeadlineExceeded if timeout < SHORTEST_TELLING_DEADLINE => None,
            code => Some(is_failure(code)),
        };
        let now = self.clock.now();
        match admitted.failed {
            Some(true) => self.last_outcome.record_failure(now, &Failure(&result)),
            Some(false) => {
                self.last_outcome.record_success(now);
                self.last_outcome.clear_failure();
            }
            None => {}
        }
        result
    }

    /// Takes a concurrency permit and asks the breaker.
    fn admit(&self) -> Result<Admitted<'_>, Status> {
        // The permit first: the breaker expects the outcome of a probe that it admits.
        let permit = self.permits.try_acquire();
        let permit = permit.map_err(|_| unavailable("PEER_BUSY", "a required service is busy"))?;
        let pass = self.breaker.admit().ok_or_else(|| {
            unavailable(
                "CIRCUIT_OPEN",
                "calls to a required service are suspended because it fails",
            )
        })?;
        Ok(Admitted {
            breaker: &self.breaker,
            pass,
            failed: None,
            _permit: permit,
        })
    }

    async fn call_with_retries(
        &self,
        request: http::Request<Body>,
        pass: Pass,
        deadline: Instant,
    ) -> CallResult {
        if pass == Pass::Probe || !retry::is_allowed(request.uri().path()) {
            return self.call_once(request).await;
        }
        self.budget.count_call();
        let call = retry::RepeatableCall::read(request).await?;
        let mut result = self.call_once(call.request()).await;
        for retries in 0..retry::MAX_RETRIES {
            let Some(delay) = retry::delay(&result, retries, deadline) else {
                break;
            };
            if !self.budget.withdraw() {
                break;
            }
            sleep(delay).await;
            if !self.breaker.is_closed() {
                break;
            }
            result = self.call_once(call.request()).await;
            self.budget.count_retry(&result);
        }
        result
    }

    async fn call_once(&self, request: http::Request<Body>) -> CallResult {
        if self.faults.pass(&self.fault_down).is_err() {
            return Err(peer_unavailable());
        }
        if self.faults.pass(&self.fault_slow).is_err() {
            std::future::pending::<()>().await;
        }
        let call = self
            .target
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .call
            .clone();
        match call {
            Some(call) => call(request).await,
            None => Err(peer_unavailable()),
        }
    }
}

/// A call in flight. However it ends, the breaker counts its outcome and the permit is released.
struct Admitted<'a> {
    breaker: &'a Breaker,
    pass: Pass,
    /// None if the call was cancelled or says nothing about the peer.
    failed: Option<bool>,
    _permit: SemaphorePermit<'a>,
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.breaker.record(self.pass, self.failed);
    }
}
