//! Do all engines and all buses behave the same?

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod access;
mod broker;
mod broker_flow;
mod broker_losses;
mod broker_provision;
mod broker_users;
mod command_line;
mod consumer;
mod counter;
mod eventlog;
mod fence;
mod forged;
mod handover;
mod health;
mod inspection;
mod job;
mod life;
mod money;
mod peers;
mod platform;
mod postgres;
mod postgres_consumers;
mod postgres_faults;
mod postgres_pooled;
mod postgres_start;
mod public;
mod recover;
mod requests;
mod retries;
mod serve;
mod service_identity;
mod stage;
mod store;
mod store_faults;
mod tally;
mod trust;
mod wire;
