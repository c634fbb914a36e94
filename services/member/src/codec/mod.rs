//! Translates between the contract and the domain: requests, responses, events, errors.

pub(crate) mod account;
pub(crate) mod key_ring;
pub(crate) mod session;

use berth::member::v1::{MemberJoined, MemberModified};
use chassis::{
    EventType, Refused, Timestamp, Violations, error::status::retry_after, store::ExecuteError,
};
use secrecy::SecretString;
use tonic::Status;

use crate::domain::Refusal;

/// The events that the context publishes.
pub(crate) const EVENTS: &[EventType] = &[
    EventType::of::<MemberJoined>(),
    EventType::of::<MemberModified>(),
];

/// The status of a failed command. After too many attempts it has `RetryInfo`.
pub(crate) fn refused(error: impl Into<ExecuteError<Refusal>>, now: Timestamp) -> Status {
    match error.into() {
        ExecuteError::Refused(refusal @ Refusal::TooManyAttempts { until }) => {
            let delay = until.duration_since(now).unsigned_abs();
            retry_after(delay, refusal.kind(), refusal.reason(), refusal.to_string())
        }
        error => error.into(),
    }
}

impl From<Refusal> for ExecuteError<Refusal> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Parses a password. Any characters are allowed. The violation does not contain the password.
fn password(v: &mut Violations, field: &str, password: String, min: usize) -> Option<SecretString> {
    let length = password.chars().count();
    let is_allowed = (min..=200).contains(&length);
    v.require(
        is_allowed,
        field,
        format!("must have {min} to 200 characters"),
    );
    is_allowed.then(|| password.into())
}
