//! How a process is told what to do: flags, each with an environment variable and a safe default.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{
    ArgMatches, Args, FromArgMatches, Parser,
    error::{ContextKind, ErrorKind},
};

use crate::{
    jetstream::NatsSettings,
    leading::LeadSettings,
    settings::{Settings, SettingsType},
    store::DatabaseSettings,
    time::SignedDuration,
    trust::TrustSettings,
};

/// Exit code of a process that was told something it does not understand (`EX_USAGE`).
pub const USAGE: u8 = 64;

/// What every process of the platform is told.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Where the public gRPC port listens
    #[arg(
        long,
        env = "BERTH_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS"
    )]
    pub listen: SocketAddr,
    /// Where health, metrics, the log level and the event log are served; not for the public
    #[arg(
        long,
        env = "BERTH_ADMIN_LISTEN",
        default_value = "127.0.0.1:8081",
        value_name = "ADDRESS"
    )]
    pub admin_listen: SocketAddr,
    /// Where the databases are; made if it does not exist
    #[arg(
        long,
        env = "BERTH_DATA_DIR",
        default_value = "./data",
        value_name = "DIR"
    )]
    pub data_dir: PathBuf,
    /// What is logged, for example `info` or `info,reservation=debug`; can be changed on the admin port
    #[arg(long, env = "BERTH_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
    /// How it is logged; for people if that is a terminal, else as JSON
    #[arg(long, env = "BERTH_LOG_FORMAT", value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// How long after the signal to stop new connections are still taken, for load balancers to notice
    #[arg(long, env = "BERTH_DRAIN_DELAY", default_value = "0s", value_parser = duration, value_name = "TIME")]
    pub drain_delay: Duration,
    /// How long a stop may take before it is forced
    #[arg(long, env = "BERTH_GRACE", default_value = "20s", value_parser = duration, value_name = "TIME")]
    pub grace: Duration,
    /// Which database the stores are in.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// What a port bears.
    #[command(flatten)]
    pub limits: Limits,
    /// Whose tokens are believed.
    #[command(flatten)]
    pub trust: TrustSettings,
    /// How replicas agree who leads.
    #[command(flatten)]
    pub lead: LeadSettings,
    /// The broker between processes.
    #[command(flatten)]
    pub nats: NatsSettings,
}

/// How logs look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line
    Json,
    /// For people
    Text,
}

/// What a port bears. Everything beyond is refused, at once and without harm to the rest.
#[derive(Args, Clone, Debug)]
pub struct Limits {
    /// Requests in hand; more are refused as UNAVAILABLE
    #[arg(long, env = "BERTH_MAX_IN_FLIGHT", default_value_t = 512, value_parser = at_least_one, value_name = "N")]
    pub max_in_flight: usize,
    /// Requests in hand from one connection; more are refused as UNAVAILABLE
    #[arg(long, env = "BERTH_MAX_IN_FLIGHT_PER_CONNECTION", default_value_t = 256, value_parser = at_least_one, value_name = "N")]
    pub max_in_flight_per_connection: usize,
    /// Streams of one connection; a well-behaved client waits before it opens more
    #[arg(long, env = "BERTH_MAX_STREAMS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub max_streams: u32,
    /// Connections; more are closed at once
    #[arg(long, env = "BERTH_MAX_CONNECTIONS", default_value_t = 4096, value_parser = at_least_one, value_name = "N")]
    pub max_connections: usize,
    /// Connections from one IP address; more are closed at once
    #[arg(long, env = "BERTH_MAX_CONNECTIONS_PER_IP", default_value_t = 1024, value_parser = at_least_one, value_name = "N")]
    pub max_connections_per_ip: usize,
    /// Longest time a request may take; a caller may ask for less
    #[arg(long, env = "BERTH_REQUEST_TIMEOUT", default_value = "10s", value_parser = duration, value_name = "TIME")]
    pub request_timeout: Duration,
    /// Longest time from a connection to its first words
    #[arg(long, env = "BERTH_PREFACE_TIMEOUT", default_value = "5s", value_parser = duration, value_name = "TIME")]
    pub preface_timeout: Duration,
    /// After this time a connection is asked to go, so that load spreads over new replicas
    #[arg(long, env = "BERTH_CONNECTION_AGE", default_value = "30m", value_parser = duration, value_name = "TIME")]
    pub connection_age: Duration,
    /// How long after that its last requests may take
    #[arg(long, env = "BERTH_CONNECTION_AGE_GRACE", default_value = "30s", value_parser = duration, value_name = "TIME")]
    pub connection_age_grace: Duration,
    /// Bytes of a request message
    #[arg(long, env = "BERTH_MAX_REQUEST_BYTES", default_value_t = 256 * 1024, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub max_request_bytes: u32,
    /// Bytes of an answer message
    #[arg(long, env = "BERTH_MAX_ANSWER_BYTES", default_value_t = 4 * 1024 * 1024, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub max_answer_bytes: u32,
}

/// Only there to read the defaults.
#[derive(Parser)]
#[command(name = "defaults", no_binary_name = true)]
struct Defaults {
    #[command(flatten)]
    config: Config,
}

impl Default for Config {
    /// The defaults of the flags, environment variables not read.
    #[expect(
        clippy::expect_used,
        reason = "every flag has a default; a test reads them"
    )]
    fn default() -> Self {
        let command = <Defaults as clap::CommandFactory>::command();
        let command = command.mut_args(|arg| arg.env(None::<&str>));
        command
            .try_get_matches_from(std::iter::empty::<&str>())
            .and_then(|matches| Defaults::from_arg_matches(&matches))
            .expect("a flag without a default")
            .config
    }
}

impl Default for Limits {
    fn default() -> Self {
        Config::default().limits
    }
}

/// Reads what every process is told, and the settings of its contexts, from a command line.
pub fn read<C: FromArgMatches>(
    matches: &ArgMatches,
    settings: &[SettingsType],
) -> Result<(C, Settings), clap::Error> {
    Ok((
        C::from_arg_matches(matches)?,
        Settings::read(settings, matches)?,
    ))
}

/// An error of the command line, on one line.
pub fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let body = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = body.split_whitespace().collect();
    let line = words.join(" ");
    // clap does not say which variable a value came from.
    match error.get(ContextKind::InvalidArg) {
        Some(flag) if !line.contains(&flag.to_string()) => format!("{line} ({flag})"),
        _ => line,
    }
}

/// Says what is wrong with the command line and answers the exit code: 0 if it was a call for help.
#[expect(
    clippy::print_stderr,
    reason = "this is where a process speaks to whoever started it"
)]
pub fn refuse(error: &clap::Error) -> std::process::ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        // Who closes the pipe has read enough.
        let _ = error.print();
        return std::process::ExitCode::SUCCESS;
    }
    eprintln!("{}", one_line(error));
    std::process::ExitCode::from(USAGE)
}

/// A time such as `500ms`, `10s` or `1h 30m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = "must be a time such as 500ms, 10s or 30m";
    let parsed: SignedDuration = text.parse().map_err(|_| wrong.to_owned())?;
    Duration::try_from(parsed).map_err(|_| wrong.to_owned())
}

pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number >= 1 => Ok(number),
        _ => Err("must be a number from 1".to_owned()),
    }
}

/// `name=value,name=value`: what another context is found under.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses(pub std::collections::BTreeMap<String, String>);

impl std::str::FromStr for Addresses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pairs = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        let read = pairs.map(|pair| {
            let (name, address) = pair
                .split_once('=')
                .ok_or_else(|| format!("`{pair}` must be <context>=<URL>"))?;
            let uri: http::Uri = address
                .trim()
                .parse()
                .map_err(|_| format!("`{address}` is no URL"))?;
            if uri.scheme().is_none() || uri.authority().is_none() {
                return Err(format!(
                    "`{address}` must be a URL such as http://127.0.0.1:9101"
                ));
            }
            Ok((name.trim().to_owned(), address.trim().to_owned()))
        });
        Ok(Self(read.collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_a_default() {
        let config = Config::default();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.limits.request_timeout, Duration::from_secs(10));
    }

    #[test]
    fn times_are_read() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_mins(90)));
        assert!(duration("-1s").is_err());
        assert!(duration("soon").is_err());
    }

    #[test]
    fn addresses_are_read() {
        let read: Addresses = "room=http://a:1, payment=http://b:2,".parse().unwrap();
        assert_eq!(read.0.len(), 2);
        assert_eq!(read.0["payment"], "http://b:2");
        assert!("room".parse::<Addresses>().is_err());
        assert!("room=somewhere".parse::<Addresses>().is_err());
    }

    #[test]
    fn a_wrong_command_line_is_told_on_one_line() {
        let command = <Defaults as clap::CommandFactory>::command();
        let error = command
            .try_get_matches_from(["--max-in-flight", "0"])
            .unwrap_err();
        let line = one_line(&error);
        assert!(line.contains("--max-in-flight"), "{line}");
        assert!(line.contains("from 1"), "{line}");
        assert!(!line.contains('\n'), "{line}");
    }
}
