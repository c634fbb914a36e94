//! Refusals of a domain, in terms of the gRPC error model.

use std::{error::Error, fmt};

/// The kind of a refusal; each is one gRPC code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request can never succeed as it is. `INVALID_ARGUMENT`.
    Invalid,
    /// There is no such thing, or not for this caller. `NOT_FOUND`.
    NotFound,
    /// The id or name is in use. `ALREADY_EXISTS`.
    AlreadyExists,
    /// Not allowed in the current state. `FAILED_PRECONDITION`.
    Precondition,
    /// An optimistic conflict: read again and retry. `ABORTED`.
    Aborted,
    /// Too many requests in a period. `RESOURCE_EXHAUSTED`.
    Exhausted,
    /// The caller is not authenticated. `UNAUTHENTICATED`.
    Unauthenticated,
    /// Temporarily not possible: retry later. `UNAVAILABLE`.
    Unavailable,
}

/// A refusal of a domain: its text is for people, `kind` and `reason` are for programs.
pub trait Refused: Error + Clone + fmt::Debug + PartialEq + Send + Sync + 'static {
    /// Its kind.
    fn kind(&self) -> Kind;
    /// Its reason in `UPPER_SNAKE_CASE`, part of the contract (`ErrorInfo.reason`).
    fn reason(&self) -> &'static str;
}
