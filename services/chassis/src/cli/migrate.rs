//! `migrate`: brings the databases up to what this version needs, and ends. It changes nothing that an older version needs,
//! so it runs first, and then the processes are replaced one by one.

use std::process::ExitCode;

use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::{
    base::{clock::Clock, faults::Faults},
    cli::{subcommand::Subcommand, usage},
    runtime::{context::Context, stores::open_store_on},
    store::{DatabaseSettings, StoreError},
};

/// The subcommand.
pub(super) const SUBCOMMAND: Subcommand = Subcommand {
    name: "migrate",
    command,
    run: play,
};

fn command() -> Command {
    let about = "Brings the databases up to what this version needs, and ends";
    DatabaseSettings::augment_args(Command::new(SUBCOMMAND.name)).about(about)
}

fn play(_process: &str, contexts: &[Context], matches: &ArgMatches) -> ExitCode {
    let settings = match DatabaseSettings::from_arg_matches(matches) {
        Ok(settings) => settings,
        Err(error) => return usage::refuse(&error),
    };
    if settings.database_url.is_none() {
        usage::fail(
            &"--database-url is missing; a database in a file is brought up when it is opened",
        );
        return ExitCode::from(usage::USAGE);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return usage::fail(&error),
    };
    for context in contexts {
        match runtime.block_on(migrate(context, &settings)) {
            Ok(applied) => say(context.name, &applied),
            Err(error) => return usage::fail(&format!("{}: {error}", context.name)),
        }
    }
    ExitCode::SUCCESS
}

/// Brings the database of a context up. Answers what was missing.
async fn migrate(
    context: &Context,
    settings: &DatabaseSettings,
) -> Result<Vec<String>, StoreError> {
    let nowhere = std::path::Path::new("");
    let (clock, faults) = (Clock::System, Faults::default());
    let store = open_store_on(context, settings, nowhere, clock, faults).await?;
    let missing = store.schema().await?.missing;
    store.migrate().await?;
    Ok(missing)
}

#[expect(clippy::print_stdout, reason = "what the command is for")]
fn say(context: &str, applied: &[String]) {
    match applied {
        [] => println!("{context}: nothing to do"),
        applied => println!("{context}: applied {}", applied.join(", ")),
    }
}
