//! Every metric of the platform: name, kind, labels and description. `/metrics` shows the descriptions, `docs/operating.md`
//! the whole table.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeasureKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Distributes values over buckets.
    Histogram,
}

impl MeasureKind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: MeasureKind,
    /// Its labels, in alphabetical order.
    pub labels: &'static [&'static str],
    /// Its description.
    pub meaning: &'static str,
}

type Text = &'static str;

impl Measure {
    const fn new(kind: MeasureKind, name: Text, labels: &'static [Text], meaning: Text) -> Self {
        Self {
            name,
            kind,
            labels,
            meaning,
        }
    }
}

const fn counter(name: Text, labels: &'static [Text], meaning: Text) -> Measure {
    Measure::new(MeasureKind::Counter, name, labels, meaning)
}

const fn gauge(name: Text, labels: &'static [Text], meaning: Text) -> Measure {
    Measure::new(MeasureKind::Gauge, name, labels, meaning)
}

const fn histogram(name: Text, labels: &'static [Text], meaning: Text) -> Measure {
    Measure::new(MeasureKind::Histogram, name, labels, meaning)
}

/// All metrics, by name.
pub const MEASURES: &[Measure] = &[
    gauge(
        "berth_breaker_state",
        &["peer"],
        "State of the circuit breaker of a peer: 0 closed, 1 half-open, 2 open",
    ),
    counter(
        "berth_breaker_transitions_total",
        &["peer", "to"],
        "State changes of circuit breakers to `closed`, `open` or `half_open`",
    ),
    gauge(
        "berth_bus_connected",
        &[],
        "1 if NATS is connected, 0 if not",
    ),
    counter(
        "berth_bus_dropped_total",
        &[],
        "Overflows of the buffer of messages from NATS; dropped events are read from the logs",
    ),
    counter(
        "berth_bus_heads_asked_total",
        &["consumer", "producer"],
        "Reads of a log's high-water mark because the bus was silent",
    ),
    counter(
        "berth_bus_publish_errors_total",
        &["context"],
        "Batches of events that could not be published; they are published again",
    ),
    counter(
        "berth_bus_published_total",
        &["context"],
        "Events that a context has published to the bus",
    ),
    counter(
        "berth_bus_received_total",
        &["consumer", "producer"],
        "Events received from the bus, repeats included",
    ),
    counter(
        "berth_bus_redelivered_total",
        &["consumer", "producer"],
        "Messages that the bus delivered again because no acknowledgement arrived",
    ),
    counter(
        "berth_bus_undecodable_total",
        &["consumer", "producer"],
        "Messages that are not an event, or have the wrong subject; the log is read instead",
    ),
    gauge(
        "berth_connections",
        &[],
        "Open connections to the ports of the process",
    ),
    counter(
        "berth_connections_refused_total",
        &[],
        "Connections closed at once because there were too many",
    ),
    counter(
        "berth_connections_timed_out_total",
        &[],
        "Connections closed because nothing arrived in time",
    ),
    counter(
        "berth_consumed_events_total",
        &["consumer", "producer"],
        "Events that a consumer has consumed, with or without an effect",
    ),
    counter(
        "berth_consumed_from_log_total",
        &["consumer", "producer"],
        "Consumed events that were read from the log: all without NATS, and those that NATS did not deliver",
    ),
    gauge(
        "berth_consumer_lag",
        &["consumer", "producer"],
        "Events that a consumer on NATS has not consumed yet",
    ),
    counter(
        "berth_failed_attempts_total",
        &["reason"],
        "Passwords refused because they were wrong (`BAD_CREDENTIALS`) or came after too many failed attempts (`TOO_MANY_ATTEMPTS`)",
    ),
    gauge(
        "berth_leading",
        &["context"],
        "1 if this replica leads the context, 0 if not",
    ),
    counter(
        "berth_panics_total",
        &["service"],
        "Requests that ended in a panic; the caller received INTERNAL",
    ),
    counter(
        "berth_parked_events_total",
        &["consumer"],
        "Dead letters parked for an operator",
    ),
    counter(
        "berth_passwords_shed_total",
        &[],
        "Requests refused at once because too many passwords were being checked",
    ),
    counter(
        "berth_peer_retries_total",
        &["peer", "outcome"],
        "Retries of calls to a peer that were `answered` or `failed`, or not made because the budget was spent (`no_budget`)",
    ),
    counter(
        "berth_responses_undelivered_total",
        &[],
        "Responses that were cut off because their callers did not receive them in time",
    ),
    histogram(
        "berth_rpc_duration_seconds",
        &["code", "method", "service"],
        "Duration of requests, by gRPC code",
    ),
    gauge(
        "berth_rpc_in_flight",
        &["method", "service"],
        "Requests in flight",
    ),
    counter(
        "berth_rpc_shed_total",
        &[],
        "Requests refused at once because there were too many",
    ),
    histogram(
        "berth_store_acquire_seconds",
        &["context"],
        "Waiting time for a connection to PostgreSQL",
    ),
    histogram("berth_store_batch", &[], "Commands per commit to SQLite"),
    gauge(
        "berth_store_connections",
        &["context", "state"],
        "Connections to PostgreSQL: open, and in use",
    ),
    counter(
        "berth_store_errors_total",
        &["context", "kind"],
        "Errors between a store and PostgreSQL",
    ),
    gauge(
        "berth_store_fenced",
        &["context"],
        "1 if the write fence of the context refuses commands because its log has gone back, 0 if not",
    ),
    counter(
        "berth_store_retries_total",
        &["context"],
        "Transactions retried after an optimistic conflict",
    ),
    gauge(
        "berth_waiting_bytes",
        &[],
        "Bytes of responses that wait for their callers to receive them",
    ),
];

/// Registers the descriptions at the installed recorder.
pub(crate) fn describe() {
    for measure in MEASURES {
        let Measure {
            name,
            kind,
            meaning,
            ..
        } = *measure;
        let unit = if name.ends_with("_seconds") {
            Unit::Seconds
        } else {
            Unit::Count
        };
        match kind {
            MeasureKind::Counter => describe_counter!(name, unit, meaning),
            MeasureKind::Gauge => describe_gauge!(name, unit, meaning),
            MeasureKind::Histogram => describe_histogram!(name, unit, meaning),
        }
    }
}
