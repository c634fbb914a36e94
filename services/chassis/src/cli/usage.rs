//! Errors of the command line: one line on stderr, exit code 64.

use std::process::ExitCode;

use clap::{
    ArgMatches, FromArgMatches,
    error::{ContextKind, ErrorKind},
};

use crate::runtime::settings::{Settings, SettingsType};

/// Exit code of a process whose flags are wrong (`EX_USAGE`).
pub const USAGE: u8 = 64;

/// Reads what every process is told, and the settings of its contexts, from a command line.
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
    // clap does not say which variable a value came from.
    match error.get(ContextKind::InvalidArg) {
        Some(flag) if !line.contains(&flag.to_string()) => format!("{line} ({flag})"),
        _ => line,
    }
}

/// Says what is wrong with the command line and answers the exit code: 0 if it was a call for help.
#[expect(
    clippy::print_stderr,
    reason = "this is where a process speaks to whoever started it"
)]
pub fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        // Who closes the pipe has read enough.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    eprintln!("{}", one_line(error));
    ExitCode::from(USAGE)
}

/// Says why the process ends, on one line. Exit code 1.
#[expect(clippy::print_stderr, reason = "one line for whoever started it")]
pub fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every flag of a process.
    #[derive(clap::Parser)]
    #[command(name = "flags", no_binary_name = true)]
    struct Flags {
        #[command(flatten)]
        _config: crate::runtime::config::Config,
    }

    #[test]
    fn a_wrong_command_line_is_told_on_one_line() {
        let command = <Flags as clap::CommandFactory>::command();
        let error = command
            .try_get_matches_from(["--max-in-flight", "0"])
            .unwrap_err();
        let line = one_line(&error);
        assert!(line.contains("--max-in-flight"), "{line}");
        assert!(line.contains("from 1"), "{line}");
        assert!(!line.contains('\n'), "{line}");
    }
}
