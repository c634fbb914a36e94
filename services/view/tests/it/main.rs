//! Tests of the view context through its gRPC service.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod fixture;
mod order;
mod rebuild;
mod retries;
mod rpc;
