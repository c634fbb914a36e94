//! Traces: sent to a collector over OTLP, and propagated through the headers of requests.

use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    global,
    propagation::{Extractor, Injector},
};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::contract::headers;

/// The variable with the address of the collector. Without it there are no traces.
const COLLECTOR: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

static ENABLED: AtomicBool = AtomicBool::new(false);

/// Sends traces. Dropping it sends the last ones.
#[derive(Debug)]
pub(super) struct Provider(pub(super) SdkTracerProvider);

impl Provider {
    /// A provider for the collector in the environment, if there is one. Needs a running runtime.
    pub(super) fn from_env(process: &str) -> Result<Option<Self>, ExporterBuildError> {
        let Some(endpoint) = std::env::var(COLLECTOR).ok().filter(|url| !url.is_empty()) else {
            return Ok(None);
        };
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .build()?;
        let resource = Resource::builder().with_service_name(process.to_owned());
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build());
        Ok(Some(Self(provider.build())))
    }

    /// Makes it the provider of the process.
    pub(super) fn install(&self) {
        global::set_tracer_provider(self.0.clone());
        global::set_text_map_propagator(TraceContextPropagator::new());
        ENABLED.store(true, Ordering::Relaxed);
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(error = %error, "last traces could not be sent");
        }
    }
}

/// Makes a span part of the trace in the headers, and writes the span's own trace context into them.
pub(crate) fn join(span: &Span, headers: &mut HeaderMap) {
    if ENABLED.load(Ordering::Relaxed) {
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

/// Makes a span part of the trace of an event's cause: the processing of the event belongs to the request behind it.
pub(crate) fn join_cause(span: &Span, traceparent: &str) {
    if let Ok(value) = HeaderValue::from_str(traceparent) {
        let mut headers = HeaderMap::from_iter([(headers::TRACEPARENT, value)]);
        join(span, &mut headers);
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct HeadersMut<'a>(&'a mut HeaderMap);

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(key.as_bytes()),
            HeaderValue::try_from(value),
        ) {
            self.0.insert(name, value);
        }
    }
}
