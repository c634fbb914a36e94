//! What may be answered.
use berth::common::v1::{Access, Role};
use tonic::Code;

use crate::knock::Answer;

/// Words from behind the scenes.
const INSIDE: &[&str] = &["SQL", "sqlite", "panicked", "src/", ".rs:", "/tmp/"];

/// A request is granted or refused for a reason; it does not break anything.
pub fn civil(answer: &Answer) -> Vec<String> {
    let broken = [
        Code::Unknown,
        Code::Internal,
        Code::Unimplemented,
        Code::DataLoss,
        Code::DeadlineExceeded,
        Code::Cancelled,
    ];
    let mut wrong = Vec::new();
    if broken.contains(&answer.code) || answer.reason == "STORE_UNAVAILABLE" {
        wrong.push(format!("answers {:?} {}", answer.code, answer.message));
    }
    if answer.code != Code::Ok && answer.reason.is_empty() {
        wrong.push(format!("answers {:?} without a reason", answer.code));
    }
    wrong
}

/// An error does not tell what is behind the scenes.
pub fn discreet(answer: &Answer) -> Vec<String> {
    let text = match answer.granted {
        Some(_) => String::new(),
        None => answer.text(),
    };
    INSIDE
        .iter()
        .filter(|word| text.contains(*word))
        .map(|word| format!("tells of {word}: {text}"))
        .collect()
}

/// Who comes in is who the contract lets in; who does not is told why.
pub fn gate(access: &Access, roles: &[Role], answer: &Answer) -> Vec<String> {
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
    let shut = [
        "SERVICE_IDENTITY_REQUIRED",
        "UNAUTHENTICATED",
        "ROLE_REQUIRED",
        "CLOSED",
    ];
    let given = (answer.code, &*answer.reason);
    let right = match expected {
        Some(expected) => given == expected,
        None => answer.code != Code::PermissionDenied && !shut.contains(&given.1),
    };
    if right {
        Vec::new()
    } else {
        vec![format!("answers {given:?} to {roles:?}, not {expected:?}")]
    }
}

/// What belongs to others is not there.
pub fn absent(foreign: &Answer, absent: &Answer) -> Vec<String> {
    let mut wrong = Vec::new();
    if foreign.code != Code::NotFound {
        wrong.push(format!("answers {:?} {}", foreign.code, foreign.text()));
    }
    wrong.extend(same(foreign, absent));
    wrong
}

/// The two cannot be told apart.
pub fn same(foreign: &Answer, absent: &Answer) -> Vec<String> {
    if foreign == absent {
        Vec::new()
    } else {
        vec![format!("tells {foreign:?} from {absent:?}")]
    }
}

/// Whoever owns it finds it.
pub fn found(answer: &Answer) -> Vec<String> {
    match answer.code {
        Code::NotFound | Code::PermissionDenied | Code::Unauthenticated | Code::InvalidArgument => {
            vec![format!("answers {:?} {}", answer.code, answer.text())]
        }
        _ => Vec::new(),
    }
}

/// What is nobody else's business is not told.
pub fn silent(answer: &Answer, secrets: &[String]) -> Vec<String> {
    let text = answer.text();
    secrets
        .iter()
        .filter(|secret| !secret.is_empty() && text.contains(*secret))
        .map(|secret| format!("tells {secret}"))
        .collect()
}
