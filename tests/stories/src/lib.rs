//! End-to-end tests of the platform. A story calls the public port; after it the invariants are checked, also when faults
//! were injected.

#![expect(clippy::expect_used, reason = "a story fails where it cannot continue")]

pub mod history;
pub mod invariants;
pub mod mode;
pub mod people;
pub mod world;
