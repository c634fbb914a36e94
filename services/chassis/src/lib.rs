//! The chassis: everything that is the same in every bounded context, so that a context holds nothing but its own rules.
//!
//! A context is a value ([`Context`]); its rules are pure functions ([`Aggregate`]); the chassis loads, decides, saves and
//! records ([`store::Store`]), carries events from one context's log to the others ([`consumer`]), wakes aggregates when
//! their time has come ([`deadline`]), and serves it all. [`recipes`] tells how to add things.

pub mod access;
mod admin;
pub mod aggregate;
mod breaker;
pub mod bus;
pub mod caller;
pub mod chance;
pub mod clock;
pub mod config;
pub mod consumer;
pub mod context;
pub mod deadline;
pub mod event;
pub mod eventlog;
pub mod faults;
pub mod health;
pub mod id;
pub mod inspection;
pub mod jetstream;
pub mod leading;
pub mod measures;
pub mod migrate;
pub mod money;
pub mod page;
pub mod peers;
pub mod platform;
pub mod policy;
pub mod polling;
pub mod provision;
mod reader;
pub mod recipes;
pub mod recover;
pub mod refusal;
pub mod relay;
pub mod restore;
pub mod run;
pub mod serve;
pub mod settings;
pub mod site;
pub mod status;
pub mod store;
pub mod telemetry;
pub mod testing;
pub mod time;
mod track;
pub mod trust;
pub mod violations;
mod wire;

pub use access::Access;
pub use aggregate::{Aggregate, Claims, Look, Now, Versioned};
pub use caller::{Caller, accept};
pub use clock::Clock;
pub use context::{Context, Deps};
pub use deadline::NotYet;
pub use event::{Cause, EventType, Fact, Heard, Publish, Recorded};
pub use id::{MemberId, OfferId, ReservationId};
pub use money::Money;
pub use platform::Platform;
pub use policy::{Malformed, Policies, Then, Views};
pub use refusal::{Kind, Refused};
pub use restore::Restore;
pub use run::main;
pub use store::{Done, ExecuteError, Store, StoreError};
pub use time::Timestamp;
pub use violations::Violations;

/// Gives memory back and does not grow an arena for every thread that once hashed a password.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// What the macros of the chassis need where they expand.
#[doc(hidden)]
pub mod private {
    pub use serde;
    pub use uuid;
}
