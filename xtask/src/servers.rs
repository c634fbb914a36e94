//! The servers that tests need. They are there while whoever started them is.
use std::{
    env,
    ffi::OsString,
    path::PathBuf,
    process::{Command, exit},
};

use anyhow::{Context, Result};
use servers::{Nats, NatsOptions, Pooler, Postgres, PostgresOptions};

use crate::tools;

/// The servers that were started, and what tests are told of them.
pub(crate) struct Servers {
    tells: Vec<(&'static str, OsString)>,
    _nats: Option<Nats>,
    _pooler: Option<Pooler>,
    _postgres: Option<Postgres>,
}

impl Servers {
    /// Starts those that the environment does not name, as far as their binaries can be had.
    pub(crate) fn start() -> Result<Self> {
        let mut tells = Vec::new();
        let nats = start(
            tools::nats()?,
            "BERTH_TEST_NATS_SERVER",
            "BERTH_TEST_NATS_URL",
            &mut tells,
            || {
                let nats = Nats::start(NatsOptions::default())?;
                Ok((nats.url(), nats))
            },
        )?;
        let postgres = start(
            tools::postgres()?,
            "BERTH_TEST_POSTGRES_BIN",
            "BERTH_TEST_POSTGRES_URL",
            &mut tells,
            || {
                let postgres = Postgres::start(PostgresOptions::default())?;
                Ok((postgres.url("postgres"), postgres))
            },
        )?;
        let pooler = pooler(&mut tells)?;
        Ok(Self {
            tells,
            _nats: nats,
            _pooler: pooler,
            _postgres: postgres,
        })
    }

    /// Tells a command where they are.
    pub(crate) fn tell<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.envs(self.tells.iter().cloned())
    }
}

fn start<S>(
    binary: Option<PathBuf>,
    binary_name: &'static str,
    url_name: &'static str,
    tells: &mut Vec<(&'static str, OsString)>,
    start: impl FnOnce() -> Result<(String, S)>,
) -> Result<Option<S>> {
    let Some(binary) = binary else {
        return Ok(None);
    };
    tells.push((binary_name, binary.into()));
    if env::var_os(url_name).is_some() {
        return Ok(None);
    }
    let (url, server) = start()?;
    tells.push((url_name, url.into()));
    Ok(Some(server))
}

/// A pooler before the server, whoever has started that.
fn pooler(tells: &mut Vec<(&'static str, OsString)>) -> Result<Option<Pooler>> {
    let (url_name, server_name) = ("BERTH_TEST_PGBOUNCER", "BERTH_TEST_POSTGRES_URL");
    let told = tells.iter().find(|(name, _)| *name == server_name);
    let server = told.map_or_else(|| env::var_os(server_name), |(_, url)| Some(url.clone()));
    let server = server.and_then(|url| url.into_string().ok());
    let (Some(server), None) = (server, env::var_os(url_name)) else {
        return Ok(None);
    };
    if tools::pgbouncer()?.is_none() {
        return Ok(None);
    }
    let pooler = Pooler::start(&server)?;
    tells.push((url_name, pooler.url().into()));
    Ok(Some(pooler))
}

/// Runs a command where it was asked for, and ends as it ends.
pub(crate) fn run(command: &[String]) -> Result<()> {
    let (program, arguments) = command.split_first().context("no command")?;
    let servers = Servers::start()?;
    let status = servers
        .tell(Command::new(program).args(arguments))
        .status()
        .with_context(|| format!("cannot run {program}"))?;
    drop(servers);
    if !status.success() {
        exit(status.code().unwrap_or(1));
    }
    Ok(())
}
