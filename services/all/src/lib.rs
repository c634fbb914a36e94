//! All contexts of Berth in one process: the list of contexts, and the binary `berth`.

mod banner;
mod cli;
mod demo;
pub mod doctor;

use chassis::{
    Context, Platform,
    runtime::{options::Options, start_error::StartError},
};

pub use self::cli::{command, main};

/// Every bounded context of the platform.
pub fn contexts() -> Vec<Context> {
    vec![
        member::context(),
        message::context(),
        payment::context(),
        reservation::context(),
        room::context(),
        view::context(),
    ]
}

/// Starts all contexts in this process. Returns when they are ready.
pub async fn start(options: Options) -> Result<Platform, StartError> {
    Platform::start(contexts(), options).await
}
