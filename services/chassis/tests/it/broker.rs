//! The real NATS of the tests.

use std::time::Duration;

use async_nats::jetstream;
use chassis::{config::Config, jetstream::NatsSettings};
use futures::StreamExt;

/// Longer than anything here should take, also while other tests run.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a developer must set, or have set by `cargo xtask`.
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `cargo xtask servers -- cargo test -p chassis`")
    })
}

/// Settings for a NATS.
pub(crate) fn settings(url: &str, prefix: &str) -> NatsSettings {
    NatsSettings {
        nats_url: Some(url.into()),
        nats_prefix: prefix.to_owned(),
        nats_max_bytes: 128 * 1024 * 1024,
        ..Config::default().nats
    }
}

/// A prefix that no other test uses, on the NATS that all share. What is under it goes with it.
pub(crate) struct Prefix(String);

impl Prefix {
    pub(crate) fn new() -> Self {
        Self(format!("t{}", uuid::Uuid::new_v4().simple()))
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    pub(crate) fn settings(&self) -> NatsSettings {
        settings(&variable("BERTH_TEST_NATS_URL"), &self.0)
    }
}

impl Drop for Prefix {
    fn drop(&mut self) {
        let prefix = format!("{}-", self.0);
        // The runtime of the test may be ending already.
        let tidy = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            runtime.block_on(async {
                let js = client().await;
                let names: Vec<_> = js.stream_names().collect().await;
                for name in names.into_iter().flatten() {
                    if name.starts_with(&prefix) {
                        js.delete_stream(name).await.unwrap();
                    }
                }
            });
        });
        // What a failed test leaves behind must not hide why it failed.
        let _ = tidy.join();
    }
}

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
