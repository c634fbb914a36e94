//! The command line of a context: `main`, its subcommands, and errors of flags.

pub mod migrate;
pub mod provision;
pub mod run;
pub mod subcommand;
pub mod usage;
