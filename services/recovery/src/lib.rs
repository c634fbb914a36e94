//! Offline recovery of events that a context's log has lost but others have seen.

mod command;
mod recover;
mod report;

pub use self::{
    command::SUBCOMMAND,
    recover::{May, RecoverError, Source, recover},
    report::{Fate, Loss, Report},
};
