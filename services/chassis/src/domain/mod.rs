//! Aggregates with pure rules, and the events that they publish.

pub mod aggregate;
pub mod consumer_name;
pub mod digest;
pub mod event;
pub mod log_id;
pub mod position;
