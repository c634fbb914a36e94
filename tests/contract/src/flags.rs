//! Rules for flags and environment variables.
use chassis::Context;
use clap::{Arg, Args, Command};

/// The variable whose name the requirements give.
const EXTERNAL_NAME: &str = "MAX_RESERVATION_PER_PERSON";

/// The command line of a process: the settings of every process, and those of its contexts.
pub fn command(contexts: &[Context]) -> Command {
    let command = chassis::runtime::config::Config::augment_args(Command::new("berth"));
    let settings = contexts.iter().flat_map(|one| &one.settings);
    settings.fold(command, |command, one| one.augment(command))
}

/// No flag is required.
pub fn optional(command: &Command) -> Vec<String> {
    report(command, "has no default", Arg::is_required_set)
}

/// Every flag has a description.
pub fn described(command: &Command) -> Vec<String> {
    let help = |arg: &Arg| arg.get_help().map(ToString::to_string).unwrap_or_default();
    report(command, "has no doc comment", |arg| {
        help(arg).trim().is_empty()
    })
}

/// Every flag has an environment variable.
pub fn variables(command: &Command) -> Vec<String> {
    let is_named = |arg: &Arg| {
        let name = arg.get_env().map(|name| name.display().to_string());
        name.is_some_and(|name| name.starts_with("BERTH_") || name == EXTERNAL_NAME)
    };
    report(command, "has no variable BERTH_…", |arg| !is_named(arg))
}

/// No two flags share a variable.
pub fn unique(command: &Command) -> Vec<String> {
    report(command, "shares its variable", |arg| {
        let same = |other: &&Arg| other.get_env() == arg.get_env();
        arg.get_env().is_some() && command.get_arguments().filter(same).count() > 1
    })
}

/// A flag with a secret does not show its value. URLs may have a password.
pub fn secret(command: &Command) -> Vec<String> {
    let holds = |arg: &Arg| {
        let name = arg.get_id().as_str();
        let secrets = ["_secret", "_password", "_url"];
        secrets.iter().any(|end| name.ends_with(end))
    };
    report(command, "shows a secret", |arg| {
        holds(arg) && !arg.is_hide_env_values_set()
    })
}

fn report(command: &Command, what: &str, is_wrong: impl Fn(&Arg) -> bool) -> Vec<String> {
    command
        .get_arguments()
        .filter(|arg| is_wrong(arg))
        .map(|arg| format!("--{}: {what}", arg.get_id()))
        .collect()
}
