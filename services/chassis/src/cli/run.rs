//! `main`: runs contexts until a signal, and returns the exit code.

use std::{
    env,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{ArgMatches, Args};

use crate::{
    cli::{
        migrate, provision,
        subcommand::Subcommand,
        usage::{self, fail},
    },
    client::addresses::Addresses,
    runtime::{config::Config, context::Context, options::Options, platform::Platform},
    telemetry,
};

/// A signal this soon after the first is a duplicate.
const DUPLICATE_SIGNAL: Duration = Duration::from_millis(200);

/// The flags of a context in a process of its own.
#[derive(Args, Clone, Debug)]
struct ContextFlags {
    #[command(flatten)]
    config: Config,
    /// Addresses of the ports of other contexts: `payment=http://127.0.0.1:9102,room=…`
    #[arg(
        long,
        env = "BERTH_PEERS",
        default_value = "",
        hide_default_value = true,
        value_name = "ADDRESSES"
    )]
    peers: Addresses,
    /// Addresses of the admin ports of other contexts, for their logs: `payment=http://127.0.0.1:9202,…`
    #[arg(
        long,
        env = "BERTH_LOGS",
        default_value = "",
        hide_default_value = true,
        value_name = "ADDRESSES"
    )]
    logs: Addresses,
}

/// The command line of a context in a process of its own.
pub fn command(context: &Context, more: &[Subcommand]) -> clap::Command {
    let command = ContextFlags::augment_args(clap::Command::new(context.name)).about(format!(
        "Berth: the context `{}` as a process of its own",
        context.name
    ));
    let command = command.args_conflicts_with_subcommands(true);
    let command = subcommands(more).fold(command, |command, subcommand| {
        command.subcommand((subcommand.command)())
    });
    context
        .settings
        .iter()
        .fold(command, |command, settings| settings.augment(command))
}

/// The `main` of a context: runs it as a process of its own until a signal to stop. `more` are subcommands in addition to
/// `migrate` and `provision`.
pub fn main(context: Context, more: &[Subcommand]) -> ExitCode {
    let matches = match usage::parse(command(&context, more), env::args_os()) {
        Ok(matches) => matches,
        Err(error) => return usage::refuse(&error),
    };
    if let Some((name, matches)) = matches.subcommand() {
        return run_subcommand(more, name, context.name, &[context], matches);
    }
    match usage::read::<ContextFlags>(&matches, &context.settings) {
        Err(error) => usage::refuse(&error),
        Ok((
            ContextFlags {
                config,
                peers,
                logs,
            },
            settings,
        )) => {
            let options = Options {
                process: context.name.to_owned(),
                config,
                settings,
                peers,
                logs,
                ..Options::default()
            };
            run(vec![context], options, |_, _| {})
        }
    }
}

/// The subcommands of a process: `migrate`, `provision` and `more`.
pub fn subcommands(more: &[Subcommand]) -> impl Iterator<Item = &Subcommand> {
    [migrate::SUBCOMMAND, provision::SUBCOMMAND]
        .iter()
        .chain(more)
}

/// Runs the subcommand with a name.
pub fn run_subcommand(
    more: &[Subcommand],
    name: &str,
    process: &str,
    contexts: &[Context],
    matches: &ArgMatches,
) -> ExitCode {
    match subcommands(more).find(|subcommand| subcommand.name == name) {
        Some(subcommand) => (subcommand.run)(process, contexts, matches),
        None => fail(&format_args!("there is no subcommand {name}")),
    }
}

/// Runs contexts until SIGTERM or SIGINT. Calls `ready` once they are ready, with the duration of the start.
///
/// Exit code 0 if all work in flight was finished, 1 if something failed or was cut off, 64 if the options are wrong.
pub fn run(
    contexts: Vec<Context>,
    options: Options,
    ready: impl FnOnce(&Platform, Duration),
) -> ExitCode {
    let began = Instant::now();
    // The platform has its own threads; this one waits for signals.
    usage::block_on(run_with_telemetry(contexts, options, began, ready))
}

async fn run_with_telemetry(
    contexts: Vec<Context>,
    mut options: Options,
    began: Instant,
    ready: impl FnOnce(&Platform, Duration),
) -> ExitCode {
    let config = &options.config;
    let telemetry = match telemetry::init(&options.process, &config.log, config.log_format) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            fail(&error);
            return ExitCode::from(usage::USAGE);
        }
    };
    options.log = Some(telemetry.log.clone());
    let code = run_until_signal(contexts, options, began, ready).await;
    // Dropping it sends the last traces, which needs this runtime.
    let _ = tokio::task::spawn_blocking(move || drop(telemetry)).await;
    code
}

async fn run_until_signal(
    contexts: Vec<Context>,
    options: Options,
    began: Instant,
    ready: impl FnOnce(&Platform, Duration),
) -> ExitCode {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return fail(&error),
    };
    let started = tokio::select! {
        started = Platform::start(contexts, options) => started,
        () = signals.next() => return ExitCode::SUCCESS,
    };
    let mut platform = match started {
        Ok(platform) => platform,
        Err(error) => {
            let code = fail(&error);
            return if error.is_usage() {
                ExitCode::from(usage::USAGE)
            } else {
                code
            };
        }
    };
    let took = began.elapsed();
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(public = %platform.public(), admin = %platform.admin(), millis, "ready");
    ready(&platform, took);

    let ended = tokio::select! {
        ended = platform.ended() => ended,
        () = signals.next() => tokio::select! {
            ended = platform.stop() => ended,
            () = signals.again() => {
                tracing::warn!("second signal to stop: requests in flight are cut off");
                return ExitCode::FAILURE;
            }
        },
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => fail(&failed),
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    #[cfg(unix)]
    term: tokio::signal::unix::Signal,
    #[cfg(unix)]
    int: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }

    /// Waits for a second signal. A duplicate of the first, as a process group receives it, does not count.
    async fn again(&mut self) {
        let first = Instant::now();
        loop {
            self.next().await;
            if first.elapsed() > DUPLICATE_SIGNAL {
                return;
            }
        }
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "fails on other systems")]
    fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
