//! `berth demo`: a scripted story of a host and her guests, played against a running platform through its public port.

mod narrator;
mod people;
mod servers;
mod story;
mod summary;

use std::{process::ExitCode, time::Duration};

use chassis::cli::usage;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use narrator::Narrator;
use servers::{Platform, Servers};

/// The name of the subcommand.
pub(crate) const NAME: &str = "demo";

/// The timeout of the whole demo.
const DEMO_TIMEOUT: Duration = Duration::from_mins(1);

/// The flags of the demo.
#[derive(Args, Debug)]
struct Demo {
    /// The public port of the platform to play against, or one for each context: `room=http://10.0.0.2:8080,…`
    #[arg(
        long,
        env = "BERTH_SERVER",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    server: Servers,
}

/// The subcommand.
pub(crate) fn command() -> Command {
    let about = "Plays a scripted story of a host and her guests against a running platform, with members and rooms \
                 of its own, and checks every response";
    Demo::augment_args(Command::new(NAME)).about(about)
}

/// Plays the demo. The exit code is 0 if every response was the expected one, else 1.
pub(crate) fn play(matches: &ArgMatches) -> ExitCode {
    let servers = match Demo::from_arg_matches(matches) {
        Ok(demo) => demo.server,
        Err(error) => return usage::refuse(&error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(play_at(&servers)),
        Err(error) => usage::fail(&error),
    }
}

async fn play_at(servers: &Servers) -> ExitCode {
    let Ok(platform) = servers.connect().await else {
        return usage::fail(&format!(
            "no platform answers at {}; start one with `berth`, or pass its URL with --server",
            servers.text
        ));
    };
    let mut narrator = Narrator::new(&servers.text);
    match tokio::time::timeout(DEMO_TIMEOUT, play_story(&mut narrator, platform)).await {
        Ok(Ok(())) => narrator.finish(),
        Ok(Err(wrong)) => usage::fail(&wrong),
        Err(_) => usage::fail(&"the demo did not finish within a minute"),
    }
}

async fn play_story(narrator: &mut Narrator, platform: Platform) -> Result<(), narrator::Mismatch> {
    // Boxed, because the future of the whole story is large.
    Box::pin(story::play(narrator, platform)).await
}
