//! Retries: a call that was not executed, or whose response was lost, is made again if its contract allows it.
//!
//! | outcome of a try | retry |
//! |---|---|
//! | no connection, or it broke before the response was complete | after a short delay |
//! | UNAVAILABLE without details, HTTP 502 or 503: a proxy found no replica | after a short delay |
//! | UNAVAILABLE: the callee sheds load, drains, or has no keys yet to verify the token | after the delay in its RetryInfo |
//! | anything else; any other UNAVAILABLE comes from a service that the callee itself calls | none |
//!
//! Only unary rpcs with the `idempotency_level` NO_SIDE_EFFECTS or IDEMPOTENT are retried, at most twice, if after the delay
//! at least as much time is left for the retry, and while the breaker is closed. A budget limits all retries of a peer: when
//! it is down, it gets a tenth more calls than without retries, and not three times as many.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tonic::{Code, Status, body::Body};
use tonic_types::StatusExt;
use tower::retry::budget::{Budget as _, TpsBudget};

use crate::{
    base::random,
    client::response::{CallResult, code},
    contract::rpcs::{RPCS, Rpc},
    error::status::internal,
};

/// How often a call may be retried.
pub(super) const MAX_RETRIES: usize = DELAYS.len();
/// The longest short delay before each retry.
const DELAYS: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(100)];
/// How long a call counts for the budget.
const WINDOW: Duration = Duration::from_secs(10);
/// Retries per second that are always allowed, so that a platform with few calls survives a restart.
const MIN_PER_SECOND: u32 = 1;
/// Share of the calls that may be retried.
const SHARE: f32 = 0.1;
/// Reasons of a callee that has not executed a call.
const NOT_EXECUTED: [&str; 3] = ["OVERLOADED", "DRAINING", "TRUST_UNAVAILABLE"];

/// How often calls to one peer may be retried.
#[derive(Debug)]
pub(super) struct Budget {
    peer: String,
    budget: TpsBudget,
}

impl Budget {
    pub(super) fn new(peer: &str) -> Self {
        Self {
            peer: peer.to_owned(),
            budget: TpsBudget::new(WINDOW, MIN_PER_SECOND, SHARE),
        }
    }

    /// Counts a first try.
    pub(super) fn count_call(&self) {
        self.budget.deposit();
    }

    /// Takes one retry from the budget, if there is one.
    pub(super) fn withdraw(&self) -> bool {
        let allowed = self.budget.withdraw();
        if !allowed {
            self.count("no_budget");
        }
        allowed
    }

    /// Counts the outcome of a retry.
    pub(super) fn count_retry(&self, result: &CallResult) {
        self.count(match code(result) {
            Code::Unavailable | Code::DeadlineExceeded => "failed",
            _ => "answered",
        });
    }

    fn count(&self, outcome: &'static str) {
        metrics::counter!("berth_peer_retries_total", "peer" => self.peer.clone(), "outcome" => outcome)
            .increment(1);
    }
}

/// Whether the contract of an rpc allows a retry.
pub(super) fn is_allowed(path: &str) -> bool {
    RPCS.get(path).is_some_and(Rpc::is_repeatable)
}

/// A unary call with its whole message in memory.
pub(super) struct RepeatableCall {
    head: http::request::Parts,
    body: Bytes,
}

impl RepeatableCall {
    pub(super) async fn read(request: http::Request<Body>) -> Result<Self, Status> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Self { head, body })
    }

    /// The request for one try.
    pub(super) fn request(&self) -> http::Request<Body> {
        let body = Full::new(self.body.clone()).map_err(|never: Infallible| internal(&never));
        http::Request::from_parts(self.head.clone(), Body::new(body))
    }
}

/// The delay before the next retry after `retries` of them; none if there is to be no other.
pub(super) fn delay(result: &CallResult, retries: usize, deadline: Instant) -> Option<Duration> {
    let short = random::within(*DELAYS.get(retries)?);
    let delay = match result {
        Err(status) if status.code() == Code::Unavailable => short,
        Err(_) => return None,
        Ok(response) => match response.status() {
            http::StatusCode::OK => {
                let status = Status::from_header_map(response.headers())?;
                short.max(requested_delay(&status)?)
            }
            http::StatusCode::BAD_GATEWAY | http::StatusCode::SERVICE_UNAVAILABLE => short,
            _ => return None,
        },
    };
    let left = deadline.saturating_duration_since(Instant::now());
    (delay * 2 < left).then_some(delay)
}

/// The delay that a callee asks for; none if a retry is useless.
fn requested_delay(status: &Status) -> Option<Duration> {
    if status.code() != Code::Unavailable {
        return None;
    }
    let details = status.get_error_details();
    // An error without a reason comes from a proxy and not from a service of the platform.
    let not_executed = details
        .error_info()
        .is_none_or(|info| NOT_EXECUTED.contains(&info.reason.as_str()));
    let delay = details.retry_info().and_then(|info| info.retry_delay);
    not_executed.then(|| delay.unwrap_or_default())
}
