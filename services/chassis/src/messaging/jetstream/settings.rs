//! Settings of the broker: address, credentials, and limits of its streams.

use std::{path::PathBuf, time::Duration};

use async_nats::ServerAddr;
use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use crate::base::flag_values::duration;

/// Address and credentials of NATS, and the limits of its streams.
#[derive(Args, Clone, Debug)]
pub struct NatsSettings {
    /// Addresses of NATS, `nats://` or `tls://`, separated by commas; no broker is used without one
    #[arg(long, env = "BERTH_NATS_URL", hide_env_values = true, value_parser = secret, value_name = "URLS")]
    pub nats_url: Option<SecretString>,
    /// File with the credentials of this process: a credentials file (`.creds`), an nkey seed, or `user:password`
    #[arg(long, env = "BERTH_NATS_CREDENTIALS", value_name = "FILE")]
    pub nats_credentials: Option<PathBuf>,
    /// File with the CA certificates for NATS; default: those of the system
    #[arg(long, env = "BERTH_NATS_CA", value_name = "FILE")]
    pub nats_ca: Option<PathBuf>,
    /// File with the client certificate of this process, for a NATS that requires one
    #[arg(
        long,
        env = "BERTH_NATS_CERT",
        requires = "nats_key",
        value_name = "FILE"
    )]
    pub nats_cert: Option<PathBuf>,
    /// File with the key of the client certificate
    #[arg(
        long,
        env = "BERTH_NATS_KEY",
        requires = "nats_cert",
        value_name = "FILE"
    )]
    pub nats_key: Option<PathBuf>,
    /// Prefix of streams and subjects; platforms with different prefixes can share a NATS
    #[arg(long, env = "BERTH_NATS_PREFIX", default_value = "berth", value_parser = prefix, value_name = "NAME")]
    pub nats_prefix: String,
    /// Number of servers that store a new stream
    #[arg(long, env = "BERTH_NATS_REPLICAS", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5), value_name = "N")]
    pub nats_replicas: u8,
    /// Maximum age of the events in a new stream; the log of a context keeps them forever
    #[arg(long, env = "BERTH_NATS_MAX_AGE", default_value = "72h", value_parser = duration, value_name = "TIME")]
    pub nats_max_age: Duration,
    /// Maximum size of a new stream in bytes
    #[arg(long, env = "BERTH_NATS_MAX_BYTES", default_value_t = 256 * 1024 * 1024, value_parser = clap::value_parser!(i64).range(1..), value_name = "N")]
    pub nats_max_bytes: i64,
}

/// Why NATS cannot be used with these settings.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// Not an address of NATS. The address is not shown because it may contain a password.
    #[error("BERTH_NATS_URL is not an address of NATS: {0}")]
    Url(String),
    /// A file cannot be used.
    #[error("{0} cannot be used: {1}")]
    File(String, std::io::Error),
    /// A connection is impossible.
    #[error("NATS cannot be used: {0}")]
    Connect(#[from] async_nats::ConnectError),
}

impl NatsSettings {
    /// The addresses of NATS.
    pub(super) fn servers(&self) -> Result<Vec<ServerAddr>, NatsError> {
        let urls = self.nats_url.as_ref();
        let urls = urls.map_or("", ExposeSecret::expose_secret);
        let urls = urls.split(',').map(str::trim).filter(|url| !url.is_empty());
        let servers: Result<Vec<ServerAddr>, _> = urls.map(str::parse).collect();
        match servers {
            Ok(servers) if servers.is_empty() => Err(NatsError::Url("it is empty".into())),
            Ok(servers) => Ok(servers),
            Err(error) => Err(NatsError::Url(error.to_string())),
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "clap expects a Result")]
fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(text.into())
}

fn prefix(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if text.is_empty() || text.len() > 64 || !text.chars().all(legal) {
        return Err("must be 1 to 64 letters, digits, - or _".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;

    fn at(url: &str) -> NatsSettings {
        let command = NatsSettings::augment_args(Command::new("test"));
        let command = command.mut_args(|arg| arg.env(None::<&str>));
        let matches = command.get_matches_from(["test"]);
        let mut settings = NatsSettings::from_arg_matches(&matches).unwrap();
        settings.nats_url = Some(url.into());
        settings
    }

    #[test]
    fn addresses_are_read_and_not_shown() {
        let servers = at("nats://a:1, tls://u:secret@b:2").servers().unwrap();
        assert_eq!(servers.len(), 2);
        assert_eq!(servers[1].password(), Some("secret"));
        assert!(at("").servers().is_err());
        for wrong in ["nats://u:secret@b:port", "ftp://u:secret@b"] {
            let error = at(wrong).servers().unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(!format!("{:?}", at("nats://u:secret@b")).contains("secret"));
    }

    #[test]
    fn a_prefix_is_a_name() {
        assert_eq!(prefix("berth-2").unwrap(), "berth-2");
        for wrong in ["", "a.b", "a b", "*", ">", "ü", &"a".repeat(65)] {
            assert!(prefix(wrong).is_err(), "{wrong:?}");
        }
    }
}
