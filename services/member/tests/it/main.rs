//! Does the context answer well?

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod accounts;
mod bench;
mod gate;
mod keys;
mod sessions;
mod start;
