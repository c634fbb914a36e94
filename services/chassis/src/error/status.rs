//! Conversion of errors to `tonic::Status`, in this one place. Internal text never reaches a caller.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::error::refusal::{Kind, Refused};

/// `ErrorInfo.domain` of every error of the platform.
pub const DOMAIN: &str = "berth";

/// The delay before a retry that callers are asked for.
pub const RETRY_DELAY: Duration = Duration::from_millis(500);

impl Kind {
    /// The gRPC code.
    pub fn code(self) -> Code {
        match self {
            Self::Invalid => Code::InvalidArgument,
            Self::NotFound => Code::NotFound,
            Self::AlreadyExists => Code::AlreadyExists,
            Self::Precondition => Code::FailedPrecondition,
            Self::Aborted => Code::Aborted,
            Self::Exhausted => Code::ResourceExhausted,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::Unavailable => Code::Unavailable,
        }
    }
}

/// The name of a code in the gRPC specification.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// An error with a reason for programs.
pub fn status(kind: Kind, reason: &str, message: impl Into<String>) -> Status {
    let again = matches!(kind, Kind::Unavailable | Kind::Exhausted | Kind::Aborted);
    with_delay(kind, reason, message, again.then_some(RETRY_DELAY))
}

/// An error with a delay after which a retry may succeed.
pub fn retry_after(
    delay: Duration,
    kind: Kind,
    reason: &str,
    message: impl Into<String>,
) -> Status {
    with_delay(kind, reason, message, Some(delay))
}

fn with_delay(
    kind: Kind,
    reason: &str,
    message: impl Into<String>,
    delay: Option<Duration>,
) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    if delay.is_some() {
        details.set_retry_info(delay);
    }
    Status::with_error_details(kind.code(), message, details)
}

/// An error of the chassis, with a code that no domain uses.
pub(crate) fn coded(code: Code, reason: &str, message: impl Into<String>) -> Status {
    let details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    Status::with_error_details(code, message, details)
}

/// A domain's refusal as an error.
pub fn refused(refusal: &impl Refused) -> Status {
    status(refusal.kind(), refusal.reason(), refusal.to_string())
}

/// It does not exist, or this caller may not see it: a caller cannot distinguish these.
pub fn not_found(what: &str) -> Status {
    status(Kind::NotFound, "NOT_FOUND", format!("no such {what}"))
}

/// Temporarily not possible: retry later.
pub fn unavailable(reason: &str, message: impl Into<String>) -> Status {
    status(Kind::Unavailable, reason, message)
}

/// A bug or fault of the platform. The error goes to the log, never to the caller.
pub fn internal(error: &dyn std::fmt::Display) -> Status {
    tracing::error!(error = %error, "internal error");
    coded(Code::Internal, "INTERNAL", "internal error")
}

/// `ErrorInfo.reason` of an error, if it has one.
pub fn reason_of(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}
