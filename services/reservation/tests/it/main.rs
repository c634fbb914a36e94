//! Does the service answer well, and does it come to the right end whatever happens around it?

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod bench;
mod others;

mod book;
mod cancel;
mod events;
mod hostile;
mod lists;
mod offers;
mod owners;
mod pay;
