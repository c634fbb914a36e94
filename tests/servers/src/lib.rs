//! Real servers for tests: PostgreSQL, PgBouncer before it, and NATS with JetStream, started on free ports of this machine and thrown away when
//! whoever started them is gone, also if that was killed.
//!
//! A server can be killed, paused and started again on the same port, with the same data. The crate knows nothing but the
//! standard library, so that `cargo xtask` can use it before anything is built.

mod binaries;
mod guarded;
mod nats;
mod pooler;
mod ports;
mod postgres;
mod program;
mod wait;

pub use self::{
    binaries::{nats_server, pgbouncer_bin, postgres_bin, tools},
    guarded::{Dir, Guarded, Signal},
    nats::{Nats, NatsOptions},
    pooler::Pooler,
    ports::free_port,
    postgres::{Postgres, PostgresOptions, Snapshot},
    wait::until,
};
