//! Another try: a call that was not taken, or whose answer was lost, is made again if its contract says that it may be.
//!
//! | what came of a try | another one |
//! |---|---|
//! | no connection, or it broke off before the answer was whole | soon |
//! | UNAVAILABLE without details, HTTP 502 or 503: a proxy found nobody | soon |
//! | UNAVAILABLE: the callee sheds load, is going, or does not know yet who may call it | when its RetryInfo says |
//! | anything else: any other UNAVAILABLE is about something that the callee itself asked for in vain | none |
//!
//! Only unary rpcs are tried again whose `idempotency_level` is NO_SIDE_EFFECTS or IDEMPOTENT, two times at most, if as
//! much time is left for the try as was waited for it, and while no breaker says otherwise. A budget bounds them all: when
//! a callee is away, what is offered to it is a tenth more than what was asked for, and not three times as much.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tonic::{Code, Status, body::Body};
use tonic_types::StatusExt;
use tower::retry::budget::{Budget as _, TpsBudget};

use crate::{
    base::random,
    client::answer::{Answer, code},
    contract::rpcs::RPCS,
    error::status::internal,
};

/// How long is waited before each further try, at most.
const WAITS: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(100)];
/// How long a call counts for the budget.
const WINDOW: Duration = Duration::from_secs(10);
/// So many tries a second are always allowed, so that a platform with little to do gets over a restart.
const LEAST: u32 = 1;
/// Share of the calls that may be tried again.
const SHARE: f32 = 0.1;
/// Reasons of a callee that has not taken a call.
const NOT_TAKEN: [&str; 3] = ["OVERLOADED", "DRAINING", "TRUST_UNAVAILABLE"];

/// How often calls to one peer may be tried again.
#[derive(Debug)]
pub(super) struct Budget {
    peer: String,
    budget: TpsBudget,
}

impl Budget {
    pub(super) fn new(peer: &str) -> Self {
        Self {
            peer: peer.to_owned(),
            budget: TpsBudget::new(WINDOW, LEAST, SHARE),
        }
    }

    /// A call is made.
    pub(super) fn earn(&self) {
        self.budget.deposit();
    }

    /// Whether one may be tried again.
    pub(super) fn spend(&self) -> bool {
        let may = self.budget.withdraw();
        if !may {
            self.count("no_budget");
        }
        may
    }

    /// What came of another try.
    pub(super) fn tried(&self, answer: &Answer) {
        self.count(match code(answer) {
            Code::Unavailable | Code::DeadlineExceeded => "failed",
            _ => "answered",
        });
    }

    fn count(&self, outcome: &'static str) {
        metrics::counter!("berth_peer_retries_total", "peer" => self.peer.clone(), "outcome" => outcome)
            .increment(1);
    }
}

/// Whether the contract of an rpc says that a call may be made again.
pub(super) fn may_be(path: &str) -> bool {
    RPCS.get(path).is_some_and(|rpc| rpc.repeatable)
}

/// A call that can be made several times.
pub(super) struct Call {
    head: http::request::Parts,
    body: Bytes,
}

impl Call {
    /// Reads the one message of a call, which is there already.
    pub(super) async fn read(request: http::Request<Body>) -> Result<Self, Status> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Self { head, body })
    }

    /// The call, once more.
    pub(super) fn request(&self) -> http::Request<Body> {
        let body = Full::new(self.body.clone()).map_err(|never: Infallible| internal(&never));
        http::Request::from_parts(self.head.clone(), Body::new(body))
    }
}

/// How long to wait before each further try after this answer; nothing if there is to be none.
pub(super) fn wait(answer: &Answer, tries: usize, deadline: Instant) -> Option<Duration> {
    let soon = random::within(*WAITS.get(tries)?);
    let wait = match answer {
        Err(status) if status.code() == Code::Unavailable => soon,
        Err(_) => return None,
        Ok(response) if response.status() != http::StatusCode::OK => {
            let nobody = [
                http::StatusCode::BAD_GATEWAY,
                http::StatusCode::SERVICE_UNAVAILABLE,
            ];
            nobody.contains(&response.status()).then_some(soon)?
        }
        Ok(response) => {
            let status = Status::from_header_map(response.headers())?;
            soon.max(told(&status)?)
        }
    };
    let left = deadline.saturating_duration_since(Instant::now());
    (wait * 2 < left).then_some(wait)
}

/// How long a callee says that is to be waited; nothing if it is of no use.
fn told(status: &Status) -> Option<Duration> {
    if status.code() != Code::Unavailable {
        return None;
    }
    let details = status.get_error_details();
    let not_taken = match details.error_info() {
        Some(info) => NOT_TAKEN.contains(&info.reason.as_str()),
        // Who answers for a platform without being of it: a proxy.
        None => true,
    };
    let info = details.retry_info().and_then(|info| info.retry_delay);
    not_taken.then(|| info.unwrap_or_default())
}

/// The tries a call may have beyond the first.
pub(super) fn tries() -> std::ops::Range<usize> {
    0..WAITS.len()
}
