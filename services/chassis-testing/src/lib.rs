//! Support for tests: given/when/then for rules, stores on the engine under test, logs and buses that a test controls, and
//! waiting until all work is done. [`recipes`] shows how to extend a context.

mod given;
mod quiet;
pub mod recipes;
mod scratch;
pub mod scratch_broker;
mod settle;
mod store;
pub mod tape;
pub mod unreliable_bus;

pub use self::{
    given::{Decided, Given, fold, given, noon},
    quiet::{NotQuiet, quiet},
    scratch::Scratch,
    settle::settle,
    store::open_store,
};
