//! Do all engines and all buses behave the same?

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod consumer;
mod counter;
mod store;
mod store_faults;
mod tally;
