//! Logs, metrics and traces of a process.

pub(crate) mod audit;
pub mod error;
pub mod logs;
pub mod metrics;
pub mod metrics_catalogue;
pub(crate) mod traces;

use std::io::IsTerminal;

use opentelemetry::trace::TracerProvider;
use tracing_subscriber::{Layer, layer::SubscriberExt, util::SubscriberInitExt};

pub use self::{
    error::TelemetryError,
    logs::{LogFilter, LogFormat},
    metrics::metrics,
};

/// The telemetry of a process. Dropping it, last, sends the last spans.
#[derive(Debug)]
pub struct Telemetry {
    /// The log filter.
    pub log: LogFilter,
    _traces: Option<traces::Provider>,
}

/// Sets up logs on stderr and, if the environment names a collector, traces. Once for a process.
pub fn init(
    process: &str,
    filter: &str,
    format: Option<LogFormat>,
) -> Result<Telemetry, TelemetryError> {
    let terminal = std::io::stderr().is_terminal();
    let text = format.map_or(terminal, |format| format == LogFormat::Text);
    let (filter, log) = LogFilter::layer(filter)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if text {
        lines.with_ansi(terminal).boxed()
    } else {
        lines
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed()
    };
    let traces = traces::Provider::from_env(process)?;
    let spans = traces
        .as_ref()
        .map(|traces| tracing_opentelemetry::layer().with_tracer(traces.0.tracer("berth")));
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .with(spans)
        .try_init()?;
    if let Some(traces) = &traces {
        traces.install();
    }
    Ok(Telemetry {
        log,
        _traces: traces,
    })
}
