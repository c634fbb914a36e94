//! Offline recovery: a context whose log has gone back gets back what others have seen of it.

mod command;
mod recover;
mod report;

pub use self::{
    command::SUBCOMMAND,
    recover::{May, RecoverError, Source, recover},
    report::{Fate, Loss, Report},
};
