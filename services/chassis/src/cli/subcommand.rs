//! Subcommands of a process, run instead of serving.

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use crate::runtime::context::Context;

/// A subcommand of a process with some contexts.
#[derive(Clone, Copy, Debug)]
pub struct Subcommand {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its flags and its help.
    pub command: fn() -> Command,
    /// Runs it with the name of the process and its contexts.
    pub run: fn(&str, &[Context], &ArgMatches) -> ExitCode,
}
