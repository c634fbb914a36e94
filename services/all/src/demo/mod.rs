//! `berth demo`: the stories of a host and her guests, played against a running platform through its public port.

mod people;
mod shown;
mod story;
mod teller;

use std::{process::ExitCode, time::Duration};

use chassis::cli::usage;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use tonic::transport::{Channel, Endpoint};

use teller::Teller;

/// What the command line calls it.
pub(crate) const NAME: &str = "demo";

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it all may take.
const LONGEST: Duration = Duration::from_mins(1);

/// What the demo is told.
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

/// Where a platform is.
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
        let endpoint = endpoint.connect_timeout(PATIENCE).timeout(PATIENCE);
        Ok(Self(url.to_owned(), endpoint))
    }
}

/// The subcommand.
pub(crate) fn command() -> Command {
    let about = "Plays the stories of a host and her guests against a running platform, with members and rooms of \
                 its own, and tells whether everything is as it should be";
    Demo::augment_args(Command::new(NAME)).about(about)
}

/// Plays. Exit code 0 if everything was as it should be, 1 if not.
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
            "nobody answers at {url}; start the platform with `berth`, or say where it is with --server"
        ));
    };
    let mut teller = Teller::begins(url);
    match tokio::time::timeout(LONGEST, story(&mut teller, channel)).await {
        Ok(Ok(())) => teller.ends(),
        Ok(Err(wrong)) => usage::fail(&wrong),
        Err(_) => usage::fail(&"the story is not over after a minute"),
    }
}

async fn story(teller: &mut Teller, channel: Channel) -> Result<(), teller::Wrong> {
    // A box, because the state of a whole story is large.
    Box::pin(story::play(teller, channel)).await
}
