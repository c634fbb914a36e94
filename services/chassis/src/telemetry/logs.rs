//! What is logged, and in which format.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Registry, filter::Targets, reload};

use crate::telemetry::{audit, error::TelemetryError};

/// The longest log filter, in bytes.
pub const MAX_FILTER: usize = 1024;

/// The format of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line
    Json,
    /// For people
    Text,
}

/// The log filter of the process, which can be changed while it runs: a level, and levels of modules.
#[derive(Clone, Debug)]
pub struct LogFilter(reload::Handle<Targets, Registry>);

impl LogFilter {
    /// A filter as a layer, and the handle that changes it.
    pub fn layer(filter: &str) -> Result<(reload::Layer<Targets, Registry>, Self), TelemetryError> {
        let (layer, handle) = reload::Layer::new(parse(filter)?);
        Ok((layer, Self(handle)))
    }

    /// The filter. The audit trail, which is always logged, is no part of it.
    pub fn get(&self) -> Result<String, TelemetryError> {
        let filter = self.0.with_current(ToString::to_string)?;
        let audit = format!("{}=info", audit::TARGET);
        let others: Vec<&str> = filter.split(',').filter(|one| *one != audit).collect();
        Ok(others.join(","))
    }

    /// Replaces the filter. A valid one is announced before it applies.
    pub fn set(&self, filter: &str, announce: impl FnOnce()) -> Result<(), TelemetryError> {
        let filter = parse(filter)?;
        announce();
        Ok(self.0.reload(filter)?)
    }
}

/// A filter is `level`, `module=level`, or several of them. There are no patterns: matching costs the same for every filter.
fn parse(filter: &str) -> Result<Targets, TelemetryError> {
    let wrong = || TelemetryError::Filter(filter.chars().take(MAX_FILTER).collect());
    let filter = filter.trim();
    let is_module = |name: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_:-".contains(&byte);
        !name.is_empty() && name.bytes().all(allowed)
    };
    let is_directive = |text: &str| match text.split_once('=') {
        Some((module, level)) => is_module(module) && is_level(level),
        None => is_level(text),
    };
    if filter.len() > MAX_FILTER || !filter.split(',').all(is_directive) {
        return Err(wrong());
    }
    let filter: Targets = filter.parse().map_err(|_| wrong())?;
    Ok(filter.with_target(audit::TARGET, LevelFilter::INFO))
}

fn is_level(text: &str) -> bool {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text))
}
