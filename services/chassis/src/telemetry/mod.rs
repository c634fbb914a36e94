//! Logs, metrics and traces of a process.

pub mod metrics_catalogue;

use std::{
    io::IsTerminal,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use http::HeaderMap;
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use opentelemetry::{
    global,
    propagation::{Extractor, Injector},
    trace::TracerProvider,
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{
    EnvFilter, Layer, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

use crate::contract::headers;

/// How logs look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line
    Json,
    /// For people
    Text,
}

/// Upper bounds of the duration buckets, in seconds.
const BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Where the collector is; without it no traces are made.
const COLLECTOR: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

static TRACES: AtomicBool = AtomicBool::new(false);
static METRICS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is none.
    #[error("`{0}` is no log filter; try `info` or `info,reservation=debug`")]
    Filter(String),
    /// The collector's address is wrong.
    #[error("traces cannot be sent: {0}")]
    Collector(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The process logs already.
    #[error("logs are set up already")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
    /// The filter is gone.
    #[error("the log filter is gone")]
    Gone(#[from] reload::Error),
}

/// The log filter of the process, to be read and changed while it runs.
#[derive(Clone, Debug)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

impl LogFilter {
    /// A filter, as a layer and to be changed.
    pub fn layer(
        filter: &str,
    ) -> Result<(reload::Layer<EnvFilter, Registry>, Self), TelemetryError> {
        let (layer, handle) = reload::Layer::new(parse(filter)?);
        Ok((layer, Self(handle)))
    }

    /// What is logged.
    pub fn get(&self) -> Result<String, TelemetryError> {
        Ok(self.0.with_current(ToString::to_string)?)
    }

    /// Logs something else from now on.
    pub fn set(&self, filter: &str) -> Result<(), TelemetryError> {
        Ok(self.0.reload(parse(filter)?)?)
    }
}

fn parse(filter: &str) -> Result<EnvFilter, TelemetryError> {
    let wrong = || TelemetryError::Filter(filter.to_owned());
    let trimmed = filter.trim();
    // The library takes any single word for the name of a target.
    let is_level = trimmed
        .parse::<tracing::level_filters::LevelFilter>()
        .is_ok();
    if trimmed.is_empty() || (!is_level && !trimmed.contains(['=', ','])) {
        return Err(wrong());
    }
    EnvFilter::builder().parse(trimmed).map_err(|_| wrong())
}

/// Telemetry at work; dropped last, so that the last spans are sent.
#[derive(Debug)]
pub struct Telemetry {
    /// The log filter.
    pub log: LogFilter,
    traces: Option<SdkTracerProvider>,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(traces) = &self.traces
            && let Err(error) = traces.shutdown()
        {
            tracing::warn!(error = %error, "last traces could not be sent");
        }
    }
}

/// Sets up logs on stderr and, if a collector is named in the environment, traces. Once for a process.
pub fn init(
    process: &str,
    filter: &str,
    format: Option<LogFormat>,
) -> Result<Telemetry, TelemetryError> {
    let terminal = std::io::stderr().is_terminal();
    let text = match format {
        Some(format) => format == LogFormat::Text,
        None => terminal,
    };
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
    let traces = match std::env::var(COLLECTOR) {
        Ok(endpoint) if !endpoint.is_empty() => Some(provider(process, &endpoint)?),
        _ => None,
    };
    let spans = traces
        .as_ref()
        .map(|traces| tracing_opentelemetry::layer().with_tracer(traces.tracer("berth")));
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .with(spans)
        .try_init()?;
    if let Some(traces) = &traces {
        global::set_tracer_provider(traces.clone());
        global::set_text_map_propagator(TraceContextPropagator::new());
        TRACES.store(true, Ordering::Relaxed);
    }
    Ok(Telemetry { log, traces })
}

/// Sends traces to a collector. Needs a runtime around it.
fn provider(process: &str, endpoint: &str) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()?;
    let resource = Resource::builder().with_service_name(process.to_owned());
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource.build())
        .build())
}

/// The metrics of the process, collected from the first call on.
pub fn metrics() -> Option<&'static PrometheusHandle> {
    METRICS
        .get_or_init(|| {
            recorder()
                .inspect(|_| crate::telemetry::metrics_catalogue::describe())
                .inspect_err(|error| tracing::error!(error = %error, "no metrics"))
                .ok()
        })
        .as_ref()
}

fn recorder() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets(BUCKETS)?
        .set_buckets_for_metric(
            metrics_exporter_prometheus::Matcher::Full("berth_store_batch".to_owned()),
            &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0],
        )?
        .install_recorder()
}

/// Makes a span part of the trace that a request belongs to, and the request's trace context that of the span.
pub(crate) fn adopt(span: &Span, headers: &mut HeaderMap) {
    if TRACES.load(Ordering::Relaxed) {
        let parent =
            global::get_text_map_propagator(|propagator| propagator.extract(&Headers(headers)));
        // Fails only if the span is filtered out.
        let _ = span.set_parent(parent);
        global::get_text_map_propagator(|propagator| {
            propagator.inject_context(&span.context(), &mut HeadersMut(headers));
        });
    }
    if let Some(context) = headers::traceparent(headers)
        && let Some(trace) = context.split('-').nth(1)
    {
        span.record("trace", trace);
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

struct HeadersMut<'a>(&'a mut HeaderMap);

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (
            http::HeaderName::from_bytes(key.as_bytes()),
            http::HeaderValue::try_from(value),
        ) {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_and_changed() {
        let (layer, filter) = LogFilter::layer("info").unwrap();
        assert_eq!(filter.get().unwrap(), "info");
        filter.set("warn,room=debug").unwrap();
        assert!(filter.get().unwrap().contains("room=debug"));
        for wrong in ["", "loud", "room=loud", "=,="] {
            assert!(filter.set(wrong).is_err(), "{wrong:?}");
        }
        drop(layer);
        assert!(filter.get().is_err());
    }
}
