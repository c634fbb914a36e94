//! `migrate`: migrates the databases to this version, and ends. Migrations are compatible with the previous version: run it
//! first, then replace the processes one by one.

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
    run,
};

fn command() -> Command {
    let about = "Migrates the databases to the schema of this version, and ends";
    DatabaseSettings::augment_args(Command::new(SUBCOMMAND.name)).about(about)
}

fn run(_process: &str, contexts: &[Context], matches: &ArgMatches) -> ExitCode {
    let settings = match DatabaseSettings::from_arg_matches(matches) {
        Ok(settings) => settings,
        Err(error) => return usage::refuse(&error),
    };
    if settings.database_url.is_none() {
        usage::fail(
            &"--database-url is missing; a database in a file is migrated when it is opened",
        );
        return ExitCode::from(usage::USAGE);
    }
    usage::block_on(async {
        for context in contexts {
            match migrate(context, &settings).await {
                Ok(applied) => print(context.name, &applied),
                Err(error) => return usage::fail(&format!("{}: {error}", context.name)),
            }
        }
        ExitCode::SUCCESS
    })
}

/// Migrates the database of a context. Returns the migrations that were missing, and the claims that were made anew.
async fn migrate(
    context: &Context,
    settings: &DatabaseSettings,
) -> Result<Vec<String>, StoreError> {
    let nowhere = std::path::Path::new("");
    let (clock, faults) = (Clock::System, Faults::default());
    let store = open_store_on(context, settings, nowhere, clock, faults).await?;
    let mut done = store.schema().await?.missing;
    let renewed = store.migrate().await?;
    done.extend(renewed.iter().map(|kind| format!("claims of {kind}")));
    Ok(done)
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn print(context: &str, applied: &[String]) {
    match applied {
        [] => println!("{context}: nothing to do"),
        applied => println!("{context}: applied {}", applied.join(", ")),
    }
}
