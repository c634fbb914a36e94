//! How a domain says no, in the terms of the protocol's error model.

use std::{error::Error, fmt};

/// What sort of "no" it is; each is one gRPC code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request can never work as it is. `INVALID_ARGUMENT`.
    Invalid,
    /// There is no such thing, or not for this caller. `NOT_FOUND`.
    NotFound,
    /// The id or name is taken by something else. `ALREADY_EXISTS`.
    AlreadyExists,
    /// Not in this state. `FAILED_PRECONDITION`.
    Precondition,
    /// Something changed in between: look again. `ABORTED`.
    Aborted,
    /// Too much was asked for in a time. `RESOURCE_EXHAUSTED`.
    Exhausted,
    /// It is not known who asks. `UNAUTHENTICATED`.
    Unauthenticated,
    /// Not now, ask later. `UNAVAILABLE`.
    Unavailable,
}

/// A "no" of a domain: what is shown is for a person, `kind` and `reason` are for a program.
pub trait Refused: Error + Clone + fmt::Debug + PartialEq + Send + Sync + 'static {
    /// The sort of "no".
    fn kind(&self) -> Kind;
    /// The reason as an `UPPER_SNAKE_CASE` word, part of the contract (`ErrorInfo.reason`).
    fn reason(&self) -> &'static str;
}
