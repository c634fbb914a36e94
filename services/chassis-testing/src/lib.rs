//! What tests use: given/when/then for rules, stores on the engine under test, logs and buses that are driven by hand, and
//! waiting until nothing is left to do. [`recipes`] shows how to add things to a context.

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
