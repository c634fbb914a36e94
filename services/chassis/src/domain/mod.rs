//! What a context is made of: aggregates with pure rules, and the events they publish.

pub mod aggregate;
pub mod event;
pub mod log_id;
