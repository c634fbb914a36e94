//! `migrate`: brings the databases up to what this version needs, and ends. It changes nothing that an older version needs,
//! so it runs first, and then the processes are replaced one by one.

use std::process::ExitCode;

use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::{
    clock::Clock,
    config,
    context::Context,
    faults::Faults,
    run,
    site::open_store_on,
    store::{DatabaseSettings, StoreError},
};

/// What the command line calls it.
pub const NAME: &str = "migrate";

/// The subcommand.
pub fn command() -> Command {
    let about = "Brings the databases up to what this version needs, and ends";
    DatabaseSettings::augment_args(Command::new(NAME)).about(about)
}

/// Runs it for some contexts.
pub fn play(contexts: &[Context], matches: &ArgMatches) -> ExitCode {
    let settings = match DatabaseSettings::from_arg_matches(matches) {
        Ok(settings) => settings,
        Err(error) => return config::refuse(&error),
    };
    if settings.database_url.is_none() {
        run::fail(
            &"--database-url is missing; a database in a file is brought up when it is opened",
        );
        return ExitCode::from(config::USAGE);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return run::fail(&error),
    };
    for context in contexts {
        match runtime.block_on(migrate(context, &settings)) {
            Ok(applied) => say(context.name, &applied),
            Err(error) => return run::fail(&format!("{}: {error}", context.name)),
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
