//! Offline recovery of events that a context's log has lost but others have seen.

mod branch;
mod command;
mod error;
mod recover;
mod report;
mod source;

pub use self::{
    command::SUBCOMMAND,
    error::RecoverError,
    recover::{May, recover},
    report::{Fate, Loss, Report},
    source::Source,
};
