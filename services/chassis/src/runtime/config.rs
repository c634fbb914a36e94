//! How a process is told what to do: flags, each with an environment variable and a safe default.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, FromArgMatches, Parser};

use crate::{
    base::flag_values::duration, messaging::jetstream::NatsSettings, runtime::leader::LeadSettings,
    security::tokens::TrustSettings, server::limits::Limits, store::DatabaseSettings,
    telemetry::LogFormat,
};

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
