//! Real servers for tests: PostgreSQL and NATS with JetStream, started on free ports of this machine and thrown away when
//! whoever started them is gone, also if that was killed.
//!
//! A server can be killed, paused and started again on the same port, with the same data. The crate knows nothing but the
//! standard library, so that `cargo xtask` can use it before anything is built.

mod binaries;
mod guarded;
mod nats;
mod ports;
mod postgres;
mod program;
mod wait;

pub use self::{
    binaries::{nats_server, postgres_bin, tools},
    guarded::{Dir, Guarded, Signal},
    nats::{Nats, NatsOptions},
    ports::free_port,
    postgres::{Postgres, PostgresOptions, Snapshot},
    wait::until,
};
