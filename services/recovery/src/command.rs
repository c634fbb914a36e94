//! The subcommand.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use chassis::{
    Clock, Context, Store, StoreError,
    base::faults::Faults,
    cli::{subcommand::Subcommand, usage},
    messaging::{
        bus::Bus,
        jetstream::{JetStream, NatsSettings},
        log_reader::LogReader,
        relay::compare,
    },
    runtime::{data_dir, stores::open_store_on},
    store::{APPLIED, DatabaseSettings, StoreOptions},
};
use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::{
    error::RecoverError,
    recover::{May, recover},
    report::Report,
    source::Source,
};

/// The subcommand, for a process that has some contexts.
pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "recover",
    command,
    run,
};

/// Recovers events that a context's log has lost but others have seen, and ends
#[derive(Args, Debug)]
struct Recover {
    /// The context; optional if the process has only one
    #[arg(long, env = "BERTH_RECOVER_CONTEXT", value_name = "NAME")]
    context: Option<String>,
    /// Report the lost events and change nothing
    #[arg(long, env = "BERTH_RECOVER_DRY_RUN")]
    dry_run: bool,
    /// Recover even if events are lost for good
    #[arg(long, env = "BERTH_RECOVER_ACCEPT_LOSSES")]
    accept_losses: bool,
    /// Sequence number of the last event before the loss, if neither the broker nor another copy shows it
    #[arg(long, env = "BERTH_RECOVER_FORK", value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(0..))]
    fork: Option<i64>,
    /// Another copy of the context's database that has the lost events: a SQLite file, or `postgres://…`
    #[arg(
        long,
        env = "BERTH_RECOVER_FROM",
        hide_env_values = true,
        value_name = "DATABASE"
    )]
    from: Option<String>,
    /// Directory of the databases
    #[arg(
        long,
        env = "BERTH_DATA_DIR",
        default_value = "./data",
        value_name = "DIRECTORY"
    )]
    data_dir: PathBuf,
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    nats: NatsSettings,
}

fn command() -> Command {
    Recover::augment_args(Command::new(SUBCOMMAND.name))
}

/// Runs the subcommand for one of the contexts.
fn run(_process: &str, contexts: &[Context], matches: &ArgMatches) -> ExitCode {
    let flags = match Recover::from_arg_matches(matches) {
        Ok(flags) => flags,
        Err(error) => return usage::refuse(&error),
    };
    let is_meant = |context: &&Context| {
        let name = flags.context.as_deref();
        name.map_or(contexts.len() == 1, |name| name == context.name)
    };
    let Some(context) = contexts.iter().find(is_meant) else {
        usage::fail(&"--context must name one of the contexts");
        return ExitCode::from(usage::USAGE);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(flags.recover(context, contexts)),
        Err(error) => return usage::fail(&error),
    };
    match done {
        Ok(report) => {
            print(context.name, report.as_ref());
            let stuck = |report: &Report| !report.recovered && !flags.dry_run;
            ExitCode::from(u8::from(report.as_ref().is_some_and(stuck)))
        }
        Err(error) => usage::fail(&format!("{}: {error}", context.name)),
    }
}

impl Recover {
    async fn recover(
        &self,
        context: &Context,
        contexts: &[Context],
    ) -> Result<Option<Report>, Box<dyn std::error::Error>> {
        let in_files = self.database.database_url.is_none();
        // No other process may use the files.
        let _lock = in_files
            .then(|| data_dir::lock(&self.data_dir))
            .transpose()?;
        let store = self.open(context).await?;
        for other in contexts.iter().filter(|other| other.name != context.name) {
            let file = self.data_dir.join(format!("{}.db", other.name));
            if !in_files || file.exists() {
                compare_cursors(&store, &self.open(other).await?).await?;
            }
        }
        let mut sources = Vec::new();
        if let Some(from) = &self.from {
            let copy = copy(context, from, &self.database).await?;
            sources.push(Source::Log(Arc::new(copy)));
        }
        if self.nats.nats_url.is_some() {
            let bus = self.bus(&store).await?;
            compare(&store, &bus).await?;
            sources.push(Source::Bus(bus));
        }
        let may = match (self.dry_run, self.accept_losses) {
            (true, _) => May::Inspect,
            (false, false) => May::Recover,
            (false, true) => May::Lose,
        };
        Ok(recover(&store, &context.restores, &sources, self.fork, may).await?)
    }

    async fn open(&self, context: &Context) -> Result<Store, StoreError> {
        let (clock, faults) = (Clock::System, Faults::default());
        let store = open_store_on(context, &self.database, &self.data_dir, clock, faults).await?;
        store.check_claims().await?;
        Ok(store)
    }

    async fn bus(&self, store: &Store) -> Result<Arc<dyn Bus>, Box<dyn std::error::Error>> {
        let log: Arc<dyn LogReader> = Arc::new(store.clone());
        let logs = [(store.context().to_owned(), log)].into();
        let bus = JetStream::connect(&self.nats, SUBCOMMAND.name, logs).await?;
        bus.await_connection().await?;
        Ok(Arc::new(bus))
    }
}

/// Compares the log with the cursors of another context.
async fn compare_cursors(store: &Store, other: &Store) -> Result<(), StoreError> {
    for (consumer, producer, cursor) in other.cursors().await? {
        if producer.context() == store.context() {
            store.compare(cursor, consumer.as_str(), APPLIED).await?;
        }
    }
    Ok(())
}

/// Another copy of the database of a context.
async fn copy(
    context: &Context,
    from: &str,
    database: &DatabaseSettings,
) -> Result<Store, RecoverError> {
    if from.starts_with("postgres") {
        let settings = DatabaseSettings {
            database_url: Some(from.into()),
            ..database.clone()
        };
        let (clock, faults) = (Clock::System, Faults::default());
        let store = open_store_on(context, &settings, Path::new(""), clock, faults).await?;
        return Ok(store);
    }
    let file = Path::new(from);
    if !file.exists() {
        // The value is not shown: it may be a mistyped URL with a password.
        let missing = "there is no file with the name given by --from";
        return Err(StoreError::Unavailable(missing.to_owned()).into());
    }
    Ok(Store::sqlite(context.name, file, StoreOptions::default()).await?)
}

#[expect(clippy::print_stdout, reason = "what the command is for")]
fn print(context: &str, report: Option<&Report>) {
    match report {
        Some(report) => print!("{report}"),
        None => println!("{context}: no events are lost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_copy_is_reported_without_its_password() {
        let context = Context::named("room");
        let settings = DatabaseSettings::default();
        for from in [
            "Postgres://u:canary@h/d",
            " postgres://u:canary@h/d",
            "pg://u:canary@h",
        ] {
            let error = copy(&context, from, &settings).await.unwrap_err();
            assert!(!error.to_string().contains("canary"), "{error}");
            assert!(error.to_string().contains("--from"), "{error}");
        }
    }
}
