//! Delivery of events: from the log of one context over a bus to the consumers of other contexts.

mod applier;
pub mod bus;
pub mod consume_error;
pub mod consumer;
pub mod dead_letters;
pub mod in_process;
pub mod jetstream;
pub mod log_reader;
pub mod log_service;
pub mod policies;
pub(crate) mod reactions;
pub mod relay;
