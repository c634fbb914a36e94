//! The chassis: everything that is the same in every bounded context, so that a context holds nothing but its own rules.
//!
//! A context is a value ([`Context`]); its rules are pure functions ([`Aggregate`]); the chassis loads, decides, saves and
//! records ([`store::Store`]), carries events from one context's log to the others ([`messaging`]), wakes aggregates when
//! their time has come, and serves it all ([`server`]).
//!
//! The modules are layers: each imports only those below it, and a test keeps it so.
//!
//! ```text
//! cli        the command line of a context
//! runtime    a context as a value, its workers, the platform that runs them
//! server     ports: limits, request pipeline, health, admin
//! client     calls to other contexts
//! messaging  bus, relay, consumers, JetStream
//! store      one transaction for each command: state, claims, log, cursors
//! security   who calls, and whether they may
//! telemetry  logs, metrics, traces
//! domain     aggregates and events
//! contract   what the descriptors say about each rpc
//! error      refusals, violations, statuses
//! base       time, money, ids, clock
//! ```

pub mod base;
pub mod cli;
pub mod client;
pub mod contract;
pub mod domain;
pub mod error;
pub mod messaging;
pub mod runtime;
pub mod security;
pub mod server;
pub mod store;
pub mod telemetry;

pub use base::{
    clock::Clock,
    id::{MemberId, OfferId, ReservationId},
    money::Money,
    time::Timestamp,
};
pub use cli::{run::main, subcommand::Subcommand};
pub use domain::{
    aggregate::{Aggregate, ClaimRange, Claims, Now, Versioned},
    event::{Cause, EventType, Fact, Malformed, Publish, Received, Recorded},
};
pub use error::{
    refusal::{Kind, Refused},
    violations::Violations,
};
pub use messaging::policies::{Policies, Then};
pub use runtime::{
    context::Context,
    deps::{Deps, RetryLater},
    platform::Platform,
};
pub use security::{
    access::Access,
    caller::{Caller, accept},
};
pub use store::{Done, ExecuteError, Store, StoreError, projections::Views, restorer::Restore};

/// Gives memory back and does not grow an arena for every thread that once hashed a password.
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// What the macros of the chassis need where they expand.
#[doc(hidden)]
pub mod private {
    pub use serde;
    pub use uuid;
}
