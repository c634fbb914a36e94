//! All contexts of Berth in one process: the list of contexts, and the binary `berth`.

mod banner;
mod cli;
mod contexts;
mod demo;
pub mod doctor;
mod service_keys;

use chassis::{
    Platform,
    runtime::{options::Options, start_error::StartError},
};

pub use self::{
    cli::{command, main},
    contexts::contexts,
};

/// Starts all contexts in this process. Returns when they are ready.
pub async fn start(options: Options) -> Result<Platform, StartError> {
    Platform::start(contexts(), options).await
}
