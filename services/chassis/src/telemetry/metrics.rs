//! The recorder of metrics.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::telemetry::metrics_catalogue;

/// Upper bounds of the duration buckets, in seconds.
const DURATION_BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Upper bounds of the buckets of `berth_store_batch`, in commands.
const BATCH_BUCKETS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

static METRICS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// The metrics of the process, collected from the first call on.
pub fn metrics() -> Option<&'static PrometheusHandle> {
    METRICS
        .get_or_init(|| {
            install()
                .inspect(|_| metrics_catalogue::describe())
                .inspect_err(|error| tracing::error!(error = %error, "no metrics"))
                .ok()
        })
        .as_ref()
}

fn install() -> Result<PrometheusHandle, BuildError> {
    let batch = Matcher::Full("berth_store_batch".to_owned());
    PrometheusBuilder::new()
        .set_buckets(DURATION_BUCKETS)?
        .set_buckets_for_metric(batch, BATCH_BUCKETS)?
        .install_recorder()
}
