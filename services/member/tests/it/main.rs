//! Does the context answer well?

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod accounts;
mod bench;
mod keys;
mod sessions;
mod start;
