//! What a call to a peer returns, and whether it counts as a failure of the peer.

use std::{error::Error, fmt};

use tonic::{Code, Status, body::Body};

use crate::{
    contract::headers,
    error::status::{coded, unavailable},
};

/// The response of a peer, or why there is none.
pub(super) type CallResult = Result<http::Response<Body>, Status>;

/// The gRPC code of a call, as far as the headers of the response say.
pub(super) fn code(result: &CallResult) -> Code {
    match result {
        Err(status) => status.code(),
        Ok(response) if response.status() != http::StatusCode::OK => Code::Unavailable,
        Ok(response) => response
            .headers()
            .get(headers::STATUS)
            .map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes())),
    }
}

/// Whether the peer failed. A refusal of the request is not a failure.
pub(super) fn is_failure(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Internal
            | Code::Unknown
            | Code::DataLoss
    )
}

/// Why a call failed, with its causes: for operators.
pub(super) struct Failure<'a>(pub(super) &'a CallResult);

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Err(status) = self.0 else {
            return write!(f, "{:?}", code(self.0));
        };
        write!(f, "{:?}: {}", status.code(), status.message())?;
        let mut source = status.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

/// The peer cannot be reached.
pub(super) fn peer_unavailable() -> Status {
    unavailable("PEER_UNAVAILABLE", "a required service cannot be reached")
}

pub(super) fn deadline_exceeded() -> Status {
    coded(
        Code::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
        "the response did not arrive in time",
    )
}
