//! Errors of the command line: one line on stderr, exit code 64.

use std::process::ExitCode;

use clap::{
    ArgMatches, FromArgMatches,
    error::{ContextKind, ErrorKind},
};

use crate::runtime::settings::{Settings, SettingsType};

/// Exit code of a process whose flags are wrong (`EX_USAGE`).
pub const USAGE: u8 = 64;

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
