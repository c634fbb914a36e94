//! Rules for the outcome of a call.
use berth::common::v1::{Access, Role};
use prost_reflect::prost::Message;
use tonic::Code;

use crate::client::Outcome;

/// Words that reveal internals.
const INSIDE: &[&str] = &["SQL", "sqlite", "panicked", "src/", ".rs:", "/tmp/"];

/// A call succeeds or is refused with a reason; it does not fail internally.
pub fn no_fault(outcome: &Outcome) -> Vec<String> {
    let broken = [
        Code::Unknown,
        Code::Internal,
        Code::Unimplemented,
        Code::DataLoss,
        Code::DeadlineExceeded,
        Code::Cancelled,
    ];
    let mut wrong = Vec::new();
    if broken.contains(&outcome.code) || outcome.reason == "STORE_UNAVAILABLE" {
        wrong.push(format!("returns {:?} {}", outcome.code, outcome.message));
    }
    if outcome.code != Code::Ok && outcome.reason.is_empty() {
        wrong.push(format!("returns {:?} without a reason", outcome.code));
    }
    wrong
}

/// An error reveals no internals.
pub fn no_internals(outcome: &Outcome) -> Vec<String> {
    let text = match outcome.response {
        Some(_) => String::new(),
        None => outcome.text(),
    };
    INSIDE
        .iter()
        .filter(|word| text.contains(*word))
        .map(|word| format!("reveals {word}: {text}"))
        .collect()
}

/// A response has no text whose direction a caller has overridden.
pub fn no_overrides(outcome: &Outcome) -> Vec<String> {
    let response = outcome.response.as_ref().map(Message::encode_to_vec);
    let overrides = "\u{202e}".as_bytes();
    let bytes = response.unwrap_or_default();
    if bytes.windows(overrides.len()).any(|part| part == overrides) {
        vec!["shows text in another direction".to_owned()]
    } else {
        Vec::new()
    }
}

/// The largest header with the details of a status, in bytes. Proxies of the mesh drop larger trailers, and the status with
/// them.
const DETAILS: usize = 4096;

/// A status fits into the trailers that proxies deliver.
pub fn small_status(outcome: &Outcome) -> Vec<String> {
    // Details are encoded in base64, a message percent by percent at most.
    let details = outcome.details.len().div_ceil(3) * 4;
    let message = outcome.message.len() * 3;
    if details.max(message) > DETAILS {
        vec![format!("has a status of {details} and {message} bytes")]
    } else {
        Vec::new()
    }
}

/// The access check follows the contract; a refused caller gets the reason.
pub fn access_as_declared(access: &Access, roles: &[Role], outcome: &Outcome) -> Vec<String> {
    let signed_in = !roles.is_empty();
    let may = || roles.contains(&Role::Admin) || access.roles().any(|role| roles.contains(&role));
    let expected = if access.internal {
        Some((Code::Unauthenticated, "SERVICE_IDENTITY_REQUIRED"))
    } else if access.public {
        None
    } else if !signed_in {
        Some((Code::Unauthenticated, "UNAUTHENTICATED"))
    } else if !may() {
        Some((Code::PermissionDenied, "ROLE_REQUIRED"))
    } else {
        None
    };
    let denials = [
        "SERVICE_IDENTITY_REQUIRED",
        "UNAUTHENTICATED",
        "ROLE_REQUIRED",
        "CLOSED",
    ];
    let given = (outcome.code, &*outcome.reason);
    let right = match expected {
        Some(expected) => given == expected,
        None => outcome.code != Code::PermissionDenied && !denials.contains(&given.1),
    };
    if right {
        Vec::new()
    } else {
        vec![format!("returns {given:?} to {roles:?}, not {expected:?}")]
    }
}

/// A resource of somebody else is NOT_FOUND, like one that does not exist.
pub fn hidden(foreign: &Outcome, nonexistent: &Outcome) -> Vec<String> {
    let mut wrong = Vec::new();
    if foreign.code != Code::NotFound {
        wrong.push(format!("returns {:?} {}", foreign.code, foreign.text()));
    }
    wrong.extend(indistinguishable(foreign, nonexistent));
    wrong
}

/// Two outcomes are equal.
pub fn indistinguishable(foreign: &Outcome, nonexistent: &Outcome) -> Vec<String> {
    if foreign == nonexistent {
        Vec::new()
    } else {
        vec![format!("distinguishes {foreign:?} from {nonexistent:?}")]
    }
}

/// The owner can access it.
pub fn accessible(outcome: &Outcome) -> Vec<String> {
    match outcome.code {
        Code::NotFound | Code::PermissionDenied | Code::Unauthenticated | Code::InvalidArgument => {
            vec![format!("returns {:?} {}", outcome.code, outcome.text())]
        }
        _ => Vec::new(),
    }
}

/// The outcome contains none of the secrets.
pub fn no_secrets(outcome: &Outcome, secrets: &[String]) -> Vec<String> {
    let text = outcome.text();
    secrets
        .iter()
        .filter(|secret| !secret.is_empty() && text.contains(*secret))
        .map(|secret| format!("contains {secret}"))
        .collect()
}
