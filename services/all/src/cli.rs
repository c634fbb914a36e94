//! The command line of `berth`.

use std::{env, path::Path, process::ExitCode};

use chassis::{
    Context,
    cli::{run, subcommand::Subcommand, usage},
    runtime::{config::Config, options::Options, settings::SettingsType},
};
use clap::{ArgMatches, Args, Command};

use crate::{banner, contexts::contexts, demo, doctor, service_keys};

/// The subcommands of other crates.
const SUBCOMMANDS: &[Subcommand] = &[recovery::SUBCOMMAND];

/// The flags of `berth` in addition to those of every process.
#[derive(Args, Debug)]
struct Serve {
    #[command(flatten)]
    config: Config,
    /// Keep the databases in a temporary directory that is removed at the end
    #[arg(long, env = "BERTH_EPHEMERAL", conflicts_with = "data_dir")]
    ephemeral: bool,
}

/// The `main` of `berth`: runs a subcommand, or the platform. Under the name of a context, as through a link `room` to it, it
/// is that context as a process of its own.
pub fn main() -> ExitCode {
    let called = env::args_os().next().unwrap_or_default();
    let name = Path::new(&called).file_name();
    let is_called = |context: &Context| name == Some(context.name.as_ref());
    if let Some(context) = contexts().into_iter().find(is_called) {
        return chassis::main(context, SUBCOMMANDS);
    }
    match usage::parse(command(), env::args_os()) {
        Ok(matches) => match matches.subcommand() {
            Some((doctor::NAME, matches)) => doctor::examine(matches),
            Some((demo::NAME, matches)) => demo::play(matches),
            Some((service_keys::NAME, matches)) => service_keys::make(matches),
            Some((name, matches)) => {
                run::run_subcommand(SUBCOMMANDS, name, "berth", &contexts(), matches)
            }
            None => serve(&matches),
        },
        Err(error) => usage::refuse(&error),
    }
}

/// The command line of `berth`.
pub fn command() -> Command {
    let command = Serve::augment_args(Command::new("berth"))
        .version(env!("CARGO_PKG_VERSION"))
        .about("Berth: a booking platform of small gRPC services, all in one process")
        .args_conflicts_with_subcommands(true)
        .subcommand(demo::command())
        .subcommand(doctor::command())
        .subcommand(service_keys::command());
    let command = run::subcommands(SUBCOMMANDS).fold(command, |command, subcommand| {
        command.subcommand((subcommand.command)())
    });
    settings()
        .iter()
        .fold(command, |command, settings| settings.augment(command))
}

/// The settings of all contexts.
fn settings() -> Vec<SettingsType> {
    let contexts = contexts().into_iter();
    contexts.flat_map(|context| context.settings).collect()
}

fn serve(matches: &ArgMatches) -> ExitCode {
    let (
        Serve {
            mut config,
            ephemeral,
        },
        settings,
    ) = match usage::read(matches, &settings()) {
        Ok(read) => read,
        Err(error) => return usage::refuse(&error),
    };
    let dir = ephemeral.then(tempfile::tempdir).transpose();
    let dir = match dir {
        Ok(dir) => dir,
        Err(error) => return usage::fail(&error),
    };
    if let Some(dir) = &dir {
        dir.path().clone_into(&mut config.data_dir);
    }
    let data_dir = config.data_dir.clone();
    let options = Options {
        config,
        settings,
        ..Options::default()
    };
    let code = run::run(contexts(), options, |platform, took| {
        banner::show(platform, &data_dir, ephemeral, took);
    });
    // Removes the temporary directory; an error is ignored.
    drop(dir);
    code
}
