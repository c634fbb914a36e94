//! Which database the stores are in, and how it is used.

use std::time::Duration;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use crate::base::flag_values::{at_least_one, duration};

/// What stands for the name of the context in a URL.
const CONTEXT: &str = "{context}";

/// Which database the stores are in, and how it is used.
#[derive(Args, Clone, Debug)]
pub struct DatabaseSettings {
    /// The PostgreSQL database, `postgres://…`; `{context}` in it stands for the name of the context. Without one the
    /// databases are files in the data directory
    #[arg(long, env = "BERTH_DATABASE_URL", hide_env_values = true, value_parser = secret, value_name = "URL")]
    pub database_url: Option<SecretString>,
    /// Connections of each context to its database, at most
    #[arg(long, env = "BERTH_DATABASE_CONNECTIONS", default_value_t = 10, value_parser = at_least_one, value_name = "N")]
    pub database_connections: usize,
    /// Longest time for a statement, and for a connection
    #[arg(long, env = "BERTH_DATABASE_TIMEOUT", default_value = "5s", value_parser = duration, value_name = "TIME")]
    pub database_timeout: Duration,
    /// There is a pooler before the database that lends a connection for one transaction only
    #[arg(long, env = "BERTH_DATABASE_POOLED")]
    pub database_pooled: bool,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            database_url: None,
            database_connections: 10,
            database_timeout: Duration::from_secs(5),
            database_pooled: false,
        }
    }
}

impl DatabaseSettings {
    /// The settings for a URL.
    pub fn of(url: &str) -> Self {
        Self {
            database_url: Some(url.into()),
            ..Self::default()
        }
    }

    /// The URL of a context's database, if there is one.
    pub fn url_of(&self, context: &str) -> Option<String> {
        let url = self.database_url.as_ref()?.expose_secret();
        Some(url.replace(CONTEXT, context))
    }
}

/// Whatever it is, it is not shown.
#[expect(clippy::unnecessary_wraps, reason = "a value parser may fail")]
fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_the_context() {
        let settings =
            DatabaseSettings::of("postgres://berth:hush@h/b?options=-csearch_path%3D{context}");
        let url = settings.url_of("room");
        assert_eq!(
            url.as_deref(),
            Some("postgres://berth:hush@h/b?options=-csearch_path%3Droom")
        );
        assert!(!format!("{settings:?}").contains("hush"));
    }
}
