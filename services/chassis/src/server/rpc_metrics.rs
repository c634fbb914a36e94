//! The metrics of requests: how many are in flight, how long they took, and their codes.

use std::{
    sync::{LazyLock, OnceLock},
    time::Instant,
};

use metrics::{Gauge, Histogram};
use tonic::Code;
use tracing::Span;

use crate::{
    contract::rpcs::{RPCS, Rpc},
    error::status::code_name,
};

/// The metrics of one rpc, registered at their first use: an unused metric is not exported.
#[derive(Debug, Default)]
struct RpcMetrics {
    in_flight: OnceLock<Gauge>,
    durations: [OnceLock<Histogram>; 17],
}

/// The metrics of every rpc by its index; the last are those of the unknown one.
static METRICS: LazyLock<Vec<RpcMetrics>> =
    LazyLock::new(|| (0..=RPCS.len()).map(|_| RpcMetrics::default()).collect());

fn add_in_flight(rpc: &Rpc, by: f64) {
    if let Some(metrics) = METRICS.get(rpc.index) {
        let gauge = metrics.in_flight.get_or_init(|| {
            metrics::gauge!("berth_rpc_in_flight", "service" => rpc.service.clone(), "method" => rpc.method.clone())
        });
        gauge.increment(by);
    }
}

fn record_duration(rpc: &Rpc, code: Code, seconds: f64) {
    let index = usize::try_from(i32::from(code)).unwrap_or(usize::MAX);
    let metrics = METRICS.get(rpc.index);
    if let Some(histogram) = metrics.and_then(|metrics| metrics.durations.get(index)) {
        let histogram = histogram.get_or_init(|| {
            metrics::histogram!("berth_rpc_duration_seconds", "service" => rpc.service.clone(),
                "method" => rpc.method.clone(), "code" => code_name(code))
        });
        histogram.record(seconds);
    }
}

/// One request: counted as in flight until it ends. Dropping it without [`Record::end`] records CANCELLED.
#[derive(Debug)]
pub(super) struct Record {
    rpc: &'static Rpc,
    span: Span,
    began: Instant,
    code: Code,
}

impl Record {
    pub(super) fn begin(rpc: &'static Rpc, span: Span) -> Self {
        add_in_flight(rpc, 1.0);
        Self {
            rpc,
            span,
            began: Instant::now(),
            code: Code::Cancelled,
        }
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    pub(super) fn end(mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        add_in_flight(self.rpc, -1.0);
        let seconds = self.began.elapsed().as_secs_f64();
        record_duration(self.rpc, self.code, seconds);
        let code = code_name(self.code);
        self.span.record("rpc.code", code);
        tracing::debug!(parent: &self.span, code, seconds, "request ended");
    }
}
