//! The real NATS of the tests.

use std::time::Duration;

use async_nats::jetstream;
pub(crate) use chassis_testing::scratch_broker::{ScratchBroker as Prefix, settings, variable};

/// Longer than anything here should take, also while other tests run.
const PATIENCE: Duration = Duration::from_mins(1);

/// A client of the NATS that all share.
pub(crate) async fn client() -> jetstream::Context {
    jetstream(&variable("BERTH_TEST_NATS_URL")).await
}

/// A client of its own, to look and to break things with.
pub(crate) async fn jetstream(url: &str) -> jetstream::Context {
    jetstream::new(async_nats::connect(url).await.unwrap())
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let wait = async {
        while !is_so().await {
            ticks.tick().await;
        }
    };
    let came = tokio::time::timeout(PATIENCE, wait).await;
    assert!(came.is_ok(), "not so after {PATIENCE:?}: {what}");
}
