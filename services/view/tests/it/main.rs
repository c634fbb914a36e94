//! Is everything on one screen, whatever comes first, and can it be built anew?

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod converge;
mod rebuild;
mod rpc;
mod stage;
