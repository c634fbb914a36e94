//! Subcommands: what a process does instead of serving.

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use crate::runtime::context::Context;

/// A subcommand of a process that has some contexts.
#[derive(Clone, Copy, Debug)]
pub struct Subcommand {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its flags and its help.
    pub command: fn() -> Command,
    /// Runs it, in the name of the process, for the contexts of the process.
    pub run: fn(&str, &[Context], &ArgMatches) -> ExitCode,
}
