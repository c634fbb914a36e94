//! Tests that use the private types of this crate together with a real store.

mod contention;
