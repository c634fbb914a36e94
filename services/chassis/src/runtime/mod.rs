//! Running contexts: what a context is, its workers, its leader, and the platform that starts, supervises and stops them.

pub mod config;
pub mod context;
pub mod context_runtime;
pub mod data_dir;
mod deadlines;
pub mod deps;
mod inspection;
pub mod leader;
pub mod options;
pub mod platform;
mod ports;
mod remote_log;
pub mod settings;
pub mod start;
pub mod start_error;
pub mod stores;
pub mod supervisor;
mod wiring;
mod workers;
