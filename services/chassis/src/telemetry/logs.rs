//! What is logged, and in which format.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::telemetry::{audit, error::TelemetryError};

/// The format of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line
    Json,
    /// For people
    Text,
}

/// The log filter of the process, which can be changed while it runs.
#[derive(Clone, Debug)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

impl LogFilter {
    /// A filter as a layer, and the handle that changes it.
    pub fn layer(
        filter: &str,
    ) -> Result<(reload::Layer<EnvFilter, Registry>, Self), TelemetryError> {
        let (layer, handle) = reload::Layer::new(parse(filter)?);
        Ok((layer, Self(handle)))
    }

    /// The filter. The audit trail, which is always logged, is no part of it.
    pub fn get(&self) -> Result<String, TelemetryError> {
        let filter = self.0.with_current(ToString::to_string)?;
        let rest = filter.strip_prefix(&format!("{}=info,", audit::TARGET));
        Ok(rest.unwrap_or(&filter).to_owned())
    }

    /// Replaces the filter.
    pub fn set(&self, filter: &str) -> Result<(), TelemetryError> {
        Ok(self.0.reload(parse(filter)?)?)
    }
}

fn parse(filter: &str) -> Result<EnvFilter, TelemetryError> {
    let wrong = || TelemetryError::Filter(filter.to_owned());
    let trimmed = filter.trim();
    // EnvFilter reads any single word as the name of a target.
    let is_level = trimmed.parse::<LevelFilter>().is_ok();
    if trimmed.is_empty() || (!is_level && !trimmed.contains(['=', ','])) {
        return Err(wrong());
    }
    let filter = EnvFilter::builder().parse(trimmed).map_err(|_| wrong())?;
    let audit = format!("{}=info", audit::TARGET);
    Ok(filter.add_directive(audit.parse().map_err(|_| wrong())?))
}
