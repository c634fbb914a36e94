//! What a call to a peer returns.

use tonic::{Code, Status, body::Body};

use crate::{contract::headers, error::status::unavailable};

/// The response of a peer, or why there is none.
pub(super) type Answer = Result<http::Response<Body>, Status>;

/// How a call ended, as its headers say.
pub(super) fn code(answer: &Answer) -> Code {
    match answer {
        Err(status) => status.code(),
        Ok(response) if response.status() != http::StatusCode::OK => Code::Unavailable,
        Ok(response) => response
            .headers()
            .get(headers::STATUS)
            .map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes())),
    }
}

/// The peer cannot be reached.
pub(super) fn absent() -> Status {
    unavailable("PEER_UNAVAILABLE", "a service that is needed is not there")
}
