//! Events on their way: from the log of one context over a bus to the consumers of the others.

pub mod bus;
pub mod consumer;
pub mod in_process;
pub mod jetstream;
pub mod log_reader;
pub mod log_service;
pub mod policies;
pub mod relay;
pub mod remote_log;
