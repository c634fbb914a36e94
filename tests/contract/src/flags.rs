//! What a process is told: flags and environment variables.
use chassis::Context;
use clap::{Arg, Args, Command};

/// The one variable whose name is given from outside.
const GIVEN: &str = "MAX_RESERVATION_PER_PERSON";

/// The command line of a process: what every process is told, and the settings of its contexts.
pub fn command(contexts: &[Context]) -> Command {
    let command = chassis::runtime::config::Config::augment_args(Command::new("berth"));
    let settings = contexts.iter().flat_map(|one| &one.settings);
    settings.fold(command, |command, one| one.augment(command))
}

/// Nothing has to be said.
pub fn optional(command: &Command) -> Vec<String> {
    say(command, "has no default", Arg::is_required_set)
}

/// Every flag says what it is for.
pub fn told(command: &Command) -> Vec<String> {
    let help = |arg: &Arg| arg.get_help().map(ToString::to_string).unwrap_or_default();
    say(command, "has no doc comment", |arg| {
        help(arg).trim().is_empty()
    })
}

/// Every flag is a variable too, by its own name.
pub fn variables(command: &Command) -> Vec<String> {
    let is_named = |arg: &Arg| {
        let name = arg.get_env().map(|name| name.display().to_string());
        name.is_some_and(|name| name.starts_with("BERTH_") || name == GIVEN)
    };
    say(command, "has no variable BERTH_…", |arg| !is_named(arg))
}

/// No two flags share a variable.
pub fn unique(command: &Command) -> Vec<String> {
    say(command, "shares its variable", |arg| {
        let same = |other: &&Arg| other.get_env() == arg.get_env();
        arg.get_env().is_some() && command.get_arguments().filter(same).count() > 1
    })
}

/// A flag that holds a secret does not show it.
pub fn secret(command: &Command) -> Vec<String> {
    let holds = |arg: &Arg| {
        let name = arg.get_id().as_str();
        name.ends_with("_secret") || name.ends_with("_password")
    };
    say(command, "shows a secret", |arg| {
        holds(arg) && !arg.is_hide_env_values_set()
    })
}

fn say(command: &Command, what: &str, is_wrong: impl Fn(&Arg) -> bool) -> Vec<String> {
    command
        .get_arguments()
        .filter(|arg| is_wrong(arg))
        .map(|arg| format!("--{}: {what}", arg.get_id()))
        .collect()
}
