//! `berth service-keys`: makes the keys by which services in separate processes authenticate to each other.

use std::{path::PathBuf, process::ExitCode};

use chassis::{
    cli::usage,
    security::service_identity::{DOCTOR, PUBLIC_KEYS, provision},
};
use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::contexts;

/// The name of the subcommand.
pub(crate) const NAME: &str = "service-keys";

/// The flags of the subcommand.
#[derive(Args, Debug)]
struct ServiceKeys {
    /// Directory of the keys; existing keys stay
    #[arg(
        long,
        env = "BERTH_SERVICE_KEYS_DIR",
        default_value = "./service-keys",
        value_name = "DIR"
    )]
    dir: PathBuf,
}

/// The subcommand.
pub(crate) fn command() -> Command {
    let about = "Makes a private key for every context and for the doctor, and the list of their public keys";
    ServiceKeys::augment_args(Command::new(NAME)).about(about)
}

/// Makes the missing keys.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(crate) fn make(matches: &ArgMatches) -> ExitCode {
    let dir = match ServiceKeys::from_arg_matches(matches) {
        Ok(flags) => flags.dir,
        Err(error) => return usage::refuse(&error),
    };
    let contexts = contexts();
    let names = contexts.iter().map(|context| context.name);
    if let Err(error) = provision(&dir, names.chain([DOCTOR])) {
        return usage::fail(&error);
    }
    println!(
        "{dir}/<service>.key: for --service-key-file of that service only\n{dir}/{PUBLIC_KEYS}: for --service-keys of every process",
        dir = dir.display()
    );
    ExitCode::SUCCESS
}
