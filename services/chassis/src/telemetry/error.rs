//! Why telemetry could not be set up.

use tracing_subscriber::reload;

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log filter is malformed.
    #[error("`{0}` is not a log filter; try `info` or `info,reservation=debug`")]
    Filter(String),
    /// The collector's address is wrong.
    #[error("traces cannot be sent: {0}")]
    Collector(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The process logs already.
    #[error("logs are set up already")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
    /// The subscriber with the filter was dropped.
    #[error("the log filter is gone")]
    Gone(#[from] reload::Error),
}
