//! Does the platform keep its promises? Stories told through the public port, and the invariants that must hold after
//! every one of them, whatever went wrong in between.

#![expect(clippy::expect_used, reason = "a story ends where it cannot go on")]

pub mod history;
pub mod invariants;
pub mod mode;
pub mod people;
pub mod world;
