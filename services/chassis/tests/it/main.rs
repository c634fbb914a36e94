//! Do all engines and all buses behave the same?

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test may panic"
)]

mod counter;
mod store;
