//! Do all engines and all buses behave the same?

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod access;
mod admin;
mod broker;
mod broker_flow;
mod broker_losses;
mod broker_provision;
mod broker_users;
mod claim_formats;
mod command_line;
mod consumer;
mod counter;
mod delivery;
mod effects;
mod eventlog;
mod fence;
mod forged;
mod handover;
mod health;
mod histories;
mod http;
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
mod stepping_down;
mod store;
mod store_faults;
mod tally;
mod trust;
mod unread_claims;
mod wire;
