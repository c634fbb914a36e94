//! Does the platform start, serve and stop as one process?

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod berth;
mod demo;
mod doctor;
mod kill;
mod platform;
mod process;
mod python;
