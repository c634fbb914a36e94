//! The servers that tests need. They run as long as [`Servers`] exists.
use std::{
    env,
    ffi::OsString,
    path::PathBuf,
    process::{Command, exit},
};

use anyhow::{Context, Result};
use servers::{Nats, NatsOptions, Pooler, Postgres, PostgresOptions};

use crate::tools;

/// Environment variables that name the servers and their binaries.
type Variables = Vec<(&'static str, OsString)>;

/// The started servers, and the environment variables that tests find them by.
pub(crate) struct Servers {
    variables: Variables,
    _nats: Option<Nats>,
    _pooler: Option<Pooler>,
    _postgres: Option<Postgres>,
}

impl Servers {
    /// Starts the servers that no environment variable names and whose binaries are available.
    pub(crate) fn start() -> Result<Self> {
        let mut variables = Variables::new();
        let nats = start(
            tools::nats()?,
            "BERTH_TEST_NATS_SERVER",
            "BERTH_TEST_NATS_URL",
            &mut variables,
            || {
                let nats = Nats::start(NatsOptions::default())?;
                Ok((nats.url(), nats))
            },
        )?;
        let postgres = start(
            tools::postgres()?,
            "BERTH_TEST_POSTGRES_BIN",
            "BERTH_TEST_POSTGRES_URL",
            &mut variables,
            || {
                let postgres = Postgres::start(PostgresOptions::default())?;
                Ok((postgres.url("postgres"), postgres))
            },
        )?;
        let pooler = pooler(&mut variables)?;
        Ok(Self {
            variables,
            _nats: nats,
            _pooler: pooler,
            _postgres: postgres,
        })
    }

    /// Sets the environment variables for a command.
    pub(crate) fn configure<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.envs(self.variables.iter().cloned())
    }
}

fn start<S>(
    binary: Option<PathBuf>,
    binary_name: &'static str,
    url_name: &'static str,
    variables: &mut Variables,
    start: impl FnOnce() -> Result<(String, S)>,
) -> Result<Option<S>> {
    let Some(binary) = binary else {
        return Ok(None);
    };
    variables.push((binary_name, binary.into()));
    if env::var_os(url_name).is_some() {
        return Ok(None);
    }
    let (url, server) = start()?;
    variables.push((url_name, url.into()));
    Ok(Some(server))
}

/// A PgBouncer before the PostgreSQL that was started here or that the environment names.
fn pooler(variables: &mut Variables) -> Result<Option<Pooler>> {
    let (url_name, server_name) = ("BERTH_TEST_PGBOUNCER", "BERTH_TEST_POSTGRES_URL");
    let started = variables.iter().find(|(name, _)| *name == server_name);
    let server = started.map_or_else(|| env::var_os(server_name), |(_, url)| Some(url.clone()));
    let server = server.and_then(|url| url.into_string().ok());
    let (Some(server), None) = (server, env::var_os(url_name)) else {
        return Ok(None);
    };
    if tools::pgbouncer()?.is_none() {
        return Ok(None);
    }
    let pooler = Pooler::start(&server)?;
    variables.push((url_name, pooler.url().into()));
    Ok(Some(pooler))
}

/// Runs a command in the current directory with the servers, and ends with its exit code.
pub(crate) fn run(command: &[String]) -> Result<()> {
    let (program, arguments) = command.split_first().context("no command")?;
    let servers = Servers::start()?;
    let status = servers
        .configure(Command::new(program).args(arguments))
        .status()
        .with_context(|| format!("cannot run {program}"))?;
    drop(servers);
    if !status.success() {
        exit(status.code().unwrap_or(1));
    }
    Ok(())
}
