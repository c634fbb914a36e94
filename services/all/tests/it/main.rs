//! The platform as one process: start, service, stop, the doctor and the demo.

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
mod private;
mod process;
mod python;
