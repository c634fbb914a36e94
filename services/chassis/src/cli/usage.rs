//! Errors of the command line: one line on stderr, exit code 64.

use std::{ffi::OsString, process::ExitCode};

use clap::{
    ArgMatches, Command, FromArgMatches,
    error::{ContextKind, ErrorKind},
};

use crate::runtime::settings::{Settings, SettingsType};

/// Exit code of a process whose flags are wrong (`EX_USAGE`).
pub const USAGE: u8 = 64;

/// Parses a command line. An error shows neither the value of a flag whose variable is hidden (`hide_env_values`), since it
/// holds a secret, nor a word that belongs to no flag, since it may be part of one.
pub fn parse(
    mut command: Command,
    line: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<ArgMatches, clap::Error> {
    command.try_get_matches_from_mut(line).map_err(|error| {
        let context = |kind| error.get(kind).map(ToString::to_string);
        let flag = context(ContextKind::InvalidArg).unwrap_or_default();
        let problem = match error.kind() {
            ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand if !flag.starts_with('-') => {
                "error: unexpected argument, which is not shown because it may be a secret\n"
                    .to_owned()
            }
            _ if context(ContextKind::InvalidValue).is_some() && is_secret(&command, &flag) => {
                format!(
                    "error: invalid value for '{flag}', which is not shown because it is a secret\n"
                )
            }
            _ => return error,
        };
        clap::Error::raw(error.kind(), problem)
    })
}

/// Whether a flag, shown as `--name <VALUE>`, holds a secret. It may be a flag of a subcommand.
fn is_secret(command: &Command, flag: &str) -> bool {
    let name = flag
        .split(' ')
        .next()
        .and_then(|name| name.strip_prefix("--"));
    let is_named = |arg: &clap::Arg| name.is_some() && arg.get_long() == name;
    let mut flags = command.get_arguments();
    let mut subcommands = command.get_subcommands();
    flags.any(|arg| is_named(arg) && arg.is_hide_env_values_set())
        || subcommands.any(|command| is_secret(command, flag))
}

/// Parses the flags of every process and the settings of its contexts.
pub fn read<C: FromArgMatches>(
    matches: &ArgMatches,
    settings: &[SettingsType],
) -> Result<(C, Settings), clap::Error> {
    Ok((
        C::from_arg_matches(matches)?,
        Settings::read(settings, matches)?,
    ))
}

/// An error of the command line, on one line.
pub fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let body = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = body.split_whitespace().collect();
    let line = words.join(" ");
    // clap does not name the flag of a value that came from a variable.
    match error.get(ContextKind::InvalidArg) {
        Some(flag) if !line.contains(&flag.to_string()) => format!("{line} ({flag})"),
        _ => line,
    }
}

/// Prints what is wrong with the command line. Exit code 64, or 0 if help was requested.
#[expect(
    clippy::print_stderr,
    reason = "errors of the command line go to stderr"
)]
pub fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        // Fails only if the reader has closed the pipe.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    eprintln!("{}", one_line(error));
    ExitCode::from(USAGE)
}

/// Prints why the process ends, on one line. Exit code 1.
#[expect(clippy::print_stderr, reason = "the last error goes to stderr")]
pub fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

/// Runs a future on this thread until it ends.
pub(super) fn block_on(future: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => fail(&error),
    }
}
