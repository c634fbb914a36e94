//! The chassis: everything that all bounded contexts have in common, so that a context contains only its own rules.
//!
//! A context is a value ([`Context`]) and its rules are pure functions ([`Aggregate`]). The chassis executes commands
//! ([`store::Store`]), delivers events from one context's log to the others ([`messaging`]), wakes aggregates at their
//! deadlines, and serves the rpcs ([`server`]).
//!
//! The modules are layers: each imports only those below it. A test enforces this.
//!
//! ```text
//! cli        the command line of a context
//! runtime    a context as a value, its workers, the platform that runs them
//! server     ports: limits, request pipeline, health, admin
//! client     calls to other contexts
//! messaging  bus, relay, consumers, JetStream
//! store      one transaction for each command: state, claims, log, cursors
//! security   authentication and authorization of callers
//! telemetry  logs, metrics, traces
//! domain     aggregates and events
//! contract   the options of each rpc, and headers
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
    aggregate::{Aggregate, ClaimRange, Claims, Now, Units, Versioned},
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
pub use server::Source;
pub use store::{Done, ExecuteError, Store, StoreError, projections::Views, restorer::Restore};

/// Returns memory to the system, and keeps no arena for each thread that has hashed a password.
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// Used by the macros of the chassis where they expand.
#[doc(hidden)]
pub mod private {
    pub use serde;
    pub use uuid;
}
