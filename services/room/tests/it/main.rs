//! Tests of the room context through its gRPC services.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;
mod hostile;
mod lists;
mod modifications;
mod policies;
mod reviews;
mod rooms;
