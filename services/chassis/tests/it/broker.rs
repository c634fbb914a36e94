//! The NATS server of the tests.

use std::time::Duration;

use async_nats::jetstream;
pub(crate) use chassis_testing::scratch_broker::{ScratchBroker as Prefix, settings, variable};

/// Longer than any test here should take, even while other tests run.
const PATIENCE: Duration = Duration::from_mins(1);

/// A client of the shared NATS server.
pub(crate) async fn client() -> jetstream::Context {
    jetstream(&variable("BERTH_TEST_NATS_URL")).await
}

/// A client of a NATS server, to inspect it and to inject faults.
pub(crate) async fn jetstream(url: &str) -> jetstream::Context {
    jetstream::new(async_nats::connect(url).await.unwrap())
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let wait = async {
        while !holds().await {
            ticks.tick().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    assert!(waited.is_ok(), "not so after {PATIENCE:?}: {what}");
}
