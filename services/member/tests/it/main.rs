//! Tests of the member context through its gRPC service.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod access;
mod accounts;
mod failed_attempts;
mod fixture;
mod keys;
mod load;
mod sessions;
mod startup;
