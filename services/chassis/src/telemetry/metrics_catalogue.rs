//! Every metric of the platform: what it is called, what it counts, and by which labels. `/metrics` shows the meanings, and
//! `docs/operating.md` the whole table.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// What kind of a metric it is.
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
    /// Its labels, in the order of the alphabet.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub meaning: &'static str,
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    meaning: &'static str,
) -> Measure {
    Measure {
        name,
        kind: MeasureKind::Counter,
        labels,
        meaning,
    }
}

const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    meaning: &'static str,
) -> Measure {
    Measure {
        name,
        kind: MeasureKind::Gauge,
        labels,
        meaning,
    }
}

const fn histogram(
    name: &'static str,
    labels: &'static [&'static str],
    meaning: &'static str,
) -> Measure {
    Measure {
        name,
        kind: MeasureKind::Histogram,
        labels,
        meaning,
    }
}

/// All metrics, in the order of their names.
pub const MEASURES: &[Measure] = &[
    gauge(
        "berth_breaker_state",
        &["peer"],
        "Whether calls to a peer are let through: 0 all, 1 one to try, 2 none",
    ),
    counter(
        "berth_breaker_transitions_total",
        &["peer", "to"],
        "Times that a breaker became `closed`, `open` or `half_open`",
    ),
    gauge(
        "berth_bus_connected",
        &[],
        "1 if NATS is connected, 0 if not",
    ),
    counter(
        "berth_bus_dropped_total",
        &[],
        "Times that NATS gave more than could be held; what was dropped is read from the logs",
    ),
    counter(
        "berth_bus_heads_asked_total",
        &["consumer", "producer"],
        "Times that a log was asked how far it has come, since the bus said nothing",
    ),
    counter(
        "berth_bus_publish_errors_total",
        &["context"],
        "Batches of events that the bus did not take; they are told again",
    ),
    counter(
        "berth_bus_published_total",
        &["context"],
        "Events that the bus has taken from a context",
    ),
    counter(
        "berth_bus_received_total",
        &["consumer", "producer"],
        "Events that came over the bus, repeats included",
    ),
    counter(
        "berth_bus_redelivered_total",
        &["consumer", "producer"],
        "Messages that the bus gave again, since it did not hear that they were taken",
    ),
    counter(
        "berth_bus_undecodable_total",
        &["consumer", "producer"],
        "Messages that are no event, or not where they should be; the log is asked instead",
    ),
    gauge(
        "berth_connections",
        &[],
        "Connections to the ports of the process",
    ),
    counter(
        "berth_connections_refused_total",
        &[],
        "Connections that were closed at once, since there were too many",
    ),
    counter(
        "berth_connections_timed_out_total",
        &[],
        "Connections that were closed since they said nothing in time",
    ),
    counter(
        "berth_consumed_events_total",
        &["consumer", "producer"],
        "Events that a consumer has passed, whether they had an effect or not",
    ),
    counter(
        "berth_consumed_from_log_total",
        &["consumer", "producer"],
        "Those of them that were read from the log: all without NATS, and what NATS lacked",
    ),
    gauge(
        "berth_consumer_lag",
        &["consumer", "producer"],
        "Events that a consumer on NATS knows of and has not consumed",
    ),
    gauge(
        "berth_leading",
        &["context"],
        "1 if this replica leads the context, 0 if not",
    ),
    counter(
        "berth_panics_total",
        &["service"],
        "Requests that ended in a panic; the caller was answered INTERNAL",
    ),
    counter(
        "berth_parked_events_total",
        &["consumer"],
        "Dead letters that were parked for an operator",
    ),
    counter(
        "berth_peer_retries_total",
        &["peer", "outcome"],
        "Further tries of calls to a peer that were `answered` or `failed`, or not made for want of budget (`no_budget`)",
    ),
    histogram(
        "berth_rpc_duration_seconds",
        &["code", "method", "service"],
        "How long requests took, by outcome",
    ),
    gauge(
        "berth_rpc_in_flight",
        &["method", "service"],
        "Requests in hand",
    ),
    counter(
        "berth_rpc_shed_total",
        &[],
        "Requests that were refused at once, since there were too many",
    ),
    histogram(
        "berth_store_acquire_seconds",
        &["context"],
        "How long a connection to PostgreSQL was waited for",
    ),
    histogram(
        "berth_store_batch",
        &[],
        "Commands that shared a commit to SQLite",
    ),
    gauge(
        "berth_store_connections",
        &["context", "state"],
        "Connections to PostgreSQL: open, and used of them",
    ),
    counter(
        "berth_store_errors_total",
        &["context", "kind"],
        "What went wrong between a store and PostgreSQL",
    ),
    gauge(
        "berth_store_fenced",
        &["context"],
        "1 if the context takes no commands since its log has gone back, 0 if not",
    ),
    counter(
        "berth_store_retries_total",
        &["context"],
        "Transactions that were tried again, since others were faster",
    ),
];

/// Tells the recorder what the metrics mean. Once it is there.
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
