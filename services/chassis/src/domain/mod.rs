//! Aggregates with pure rules, and the events that they publish.

pub mod aggregate;
pub mod event;
pub mod log_id;
