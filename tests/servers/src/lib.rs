//! Real servers for tests: PostgreSQL, PgBouncer before it, and NATS with JetStream. They run on free ports of this machine
//! and end with the process that started them, even if it is killed.
//!
//! A server can be killed, paused and restarted on the same port, with the same data. The crate has almost no dependencies,
//! so that `cargo xtask` can use it before the platform is built.

mod binaries;
mod guarded;
mod nats;
mod pooler;
mod ports;
mod postgres;
mod program;
mod tool_cache;
mod wait;

pub use self::{
    binaries::{
        NATS_VERSION, PGBOUNCER, POSTGRES, nats_server, nats_tool, pgbouncer_bin, postgres_bin,
    },
    guarded::{Dir, Guarded, Signal},
    nats::{Nats, NatsOptions},
    pooler::Pooler,
    ports::free_port,
    postgres::{Postgres, PostgresOptions, Snapshot},
    tool_cache::{Install, Tool, ToolCache},
    wait::until,
};
