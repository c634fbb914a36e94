//! Translates between the contract and the domain: requests, responses, events, errors.

pub(crate) mod account;
pub(crate) mod key_ring;
pub(crate) mod session;

use berth::member::v1::{MemberJoined, MemberModified};
use chassis::{
    EventType, Refused, Timestamp, Violations, base::text::opaque, error::status::retry_after,
    store::ExecuteError,
};
use secrecy::SecretString;
use tonic::Status;

use crate::domain::Refusal;

/// Minimum length of a new password in characters.
const MIN_PASSWORD: usize = 10;
/// Maximum length of a password in characters.
const MAX_PASSWORD: usize = 200;

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

/// Parses a password. The violation does not contain it.
fn password(v: &mut Violations, field: &str, password: &str, min: usize) -> Option<SecretString> {
    prepare(password, min)
        .map_err(|problem| v.add(field, problem))
        .ok()
}

/// Parses a new password, or returns what is wrong with it.
pub(crate) fn new_password(password: &str) -> Result<SecretString, String> {
    prepare(password, MIN_PASSWORD)
}

/// The form in which a password is compared.
fn prepare(password: &str, min: usize) -> Result<SecretString, String> {
    let has_length = |text: &str, min| (min..=MAX_PASSWORD).contains(&text.chars().count());
    let length = || format!("must have {min} to {MAX_PASSWORD} characters");
    // Nothing long is normalised.
    if !has_length(password, 0) {
        return Err(length());
    }
    let prepared =
        opaque(password).ok_or("must not contain control characters or invisible ones")?;
    if has_length(&prepared, min) {
        Ok(prepared.into())
    } else {
        Err(length())
    }
}
