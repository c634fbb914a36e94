//! Settings of a process: flags, each with an environment variable and a safe default.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, FromArgMatches, Parser};

use crate::{
    base::flag_values::duration, messaging::jetstream::NatsSettings, runtime::leader::LeadSettings,
    security::tokens::TrustSettings, server::limits::Limits, store::DatabaseSettings,
    telemetry::LogFormat,
};

/// Settings of every process of the platform.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Address of the public gRPC port
    #[arg(
        long,
        env = "BERTH_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS"
    )]
    pub listen: SocketAddr,
    /// Address of the admin port: health, metrics, log level, event log and inspection; not for the public
    #[arg(
        long,
        env = "BERTH_ADMIN_LISTEN",
        default_value = "127.0.0.1:8081",
        value_name = "ADDRESS"
    )]
    pub admin_listen: SocketAddr,
    /// Directory of the databases; created if it does not exist
    #[arg(
        long,
        env = "BERTH_DATA_DIR",
        default_value = "./data",
        value_name = "DIR"
    )]
    pub data_dir: PathBuf,
    /// Log filter, for example `info` or `info,reservation=debug`; can be changed on the admin port
    #[arg(long, env = "BERTH_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
    /// Log format; default: text on a terminal, else JSON
    #[arg(long, env = "BERTH_LOG_FORMAT", value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Time after the stop signal in which new connections are still accepted, so that load balancers notice
    #[arg(long, env = "BERTH_DRAIN_DELAY", default_value = "0s", value_parser = duration, value_name = "TIME")]
    pub drain_delay: Duration,
    /// Maximum duration of a graceful stop after the drain delay; a job that still runs after a quarter of it is aborted, and runs again later
    #[arg(long, env = "BERTH_GRACE", default_value = "20s", value_parser = duration, value_name = "TIME")]
    pub grace: Duration,
    /// Settings of the databases.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// Limits of the ports.
    #[command(flatten)]
    pub limits: Limits,
    /// Settings of the verification of tokens.
    #[command(flatten)]
    pub trust: TrustSettings,
    /// Settings of the leader election.
    #[command(flatten)]
    pub lead: LeadSettings,
    /// Settings of the broker.
    #[command(flatten)]
    pub nats: NatsSettings,
}

/// A command with only these flags, to read their defaults.
#[derive(Parser)]
#[command(name = "defaults", no_binary_name = true)]
struct Defaults {
    #[command(flatten)]
    config: Config,
}

impl Default for Config {
    /// The defaults of the flags, without environment variables.
    #[expect(
        clippy::expect_used,
        reason = "every flag has a default; a test checks it"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_a_default() {
        let config = Config::default();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.limits.request_timeout, Duration::from_secs(10));
    }
}
