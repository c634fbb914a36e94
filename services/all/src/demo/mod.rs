//! `berth demo`: a scripted story of a host and her guests, played against a running platform through its public port.

mod narrator;
mod people;
mod story;
mod summary;

use std::{process::ExitCode, time::Duration};

use chassis::cli::usage;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use tonic::transport::{Channel, Endpoint};

use narrator::Narrator;

/// The name of the subcommand.
pub(crate) const NAME: &str = "demo";

/// The timeout of a call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The timeout of the whole demo.
const DEMO_TIMEOUT: Duration = Duration::from_mins(1);

/// The flags of the demo.
#[derive(Args, Debug)]
struct Demo {
    /// The public port of the platform to play against
    #[arg(
        long,
        env = "BERTH_SERVER",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    server: Server,
}

/// The public port of a platform: the URL as given, and the endpoint.
#[derive(Clone, Debug)]
struct Server(String, Endpoint);

impl std::str::FromStr for Server {
    type Err = &'static str;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let wrong = "must be a URL such as http://127.0.0.1:8080";
        let endpoint: Endpoint = url.parse().map_err(|_| wrong)?;
        let uri = endpoint.uri();
        if uri.scheme_str() != Some("http") || uri.authority().is_none() {
            return Err(wrong);
        }
        let endpoint = endpoint.connect_timeout(CALL_TIMEOUT).timeout(CALL_TIMEOUT);
        Ok(Self(url.to_owned(), endpoint))
    }
}

/// The subcommand.
pub(crate) fn command() -> Command {
    let about = "Plays a scripted story of a host and her guests against a running platform, with members and rooms \
                 of its own, and checks every response";
    Demo::augment_args(Command::new(NAME)).about(about)
}

/// Plays the demo. The exit code is 0 if every response was the expected one, else 1.
pub(crate) fn play(matches: &ArgMatches) -> ExitCode {
    let Server(url, endpoint) = match Demo::from_arg_matches(matches) {
        Ok(demo) => demo.server,
        Err(error) => return usage::refuse(&error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(play_at(&url, &endpoint)),
        Err(error) => usage::fail(&error),
    }
}

async fn play_at(url: &str, endpoint: &Endpoint) -> ExitCode {
    let Ok(channel) = endpoint.connect().await else {
        return usage::fail(&format!(
            "no platform answers at {url}; start one with `berth`, or pass its URL with --server"
        ));
    };
    let mut narrator = Narrator::new(url);
    match tokio::time::timeout(DEMO_TIMEOUT, play_story(&mut narrator, channel)).await {
        Ok(Ok(())) => narrator.finish(),
        Ok(Err(wrong)) => usage::fail(&wrong),
        Err(_) => usage::fail(&"the demo did not finish within a minute"),
    }
}

async fn play_story(narrator: &mut Narrator, channel: Channel) -> Result<(), narrator::Mismatch> {
    // Boxed, because the future of the whole story is large.
    Box::pin(story::play(narrator, channel)).await
}
