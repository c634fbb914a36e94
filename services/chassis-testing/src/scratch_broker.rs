//! A part of the broker for each test, on the server that tests are given.

use async_nats::jetstream;
use chassis::{messaging::jetstream::NatsSettings, runtime::config::Config};
use futures::StreamExt;

/// The variable of a server for tests, which `cargo xtask` sets.
///
/// # Panics
///
/// If it is not set.
#[expect(clippy::panic, reason = "a test may panic")]
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: `cargo xtask test` sets it, or `cargo xtask servers -- cargo test`"
        )
    })
}

/// Settings for a NATS.
pub fn settings(url: &str, prefix: &str) -> NatsSettings {
    NatsSettings {
        nats_url: Some(url.into()),
        nats_prefix: prefix.to_owned(),
        nats_max_bytes: 128 * 1024 * 1024,
        ..Config::default().nats
    }
}

/// A prefix that no other test uses, on the NATS that all share. What is under it goes with it.
#[derive(Debug)]
pub struct ScratchBroker(String);

impl ScratchBroker {
    /// A prefix that nobody uses yet.
    #[expect(clippy::new_without_default, reason = "every one is another")]
    pub fn new() -> Self {
        Self(format!("t{}", uuid::Uuid::new_v4().simple()))
    }

    /// The prefix.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Settings for a process that uses it.
    ///
    /// # Panics
    ///
    /// Without a broker: a test that needs one does not pass without it.
    pub fn settings(&self) -> NatsSettings {
        settings(&variable("BERTH_TEST_NATS_URL"), &self.0)
    }
}

impl Drop for ScratchBroker {
    fn drop(&mut self) {
        let prefix = format!("{}-", self.0);
        // The runtime of the test may be ending already.
        let tidy = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(delete_streams(&prefix))
        });
        // What a failed test leaves behind must not hide why it failed.
        let _ = tidy.join();
    }
}

async fn delete_streams(prefix: &str) -> std::io::Result<()> {
    let client = async_nats::connect(variable("BERTH_TEST_NATS_URL"))
        .await
        .map_err(std::io::Error::other)?;
    let js = jetstream::new(client);
    let names: Vec<_> = js.stream_names().collect().await;
    for name in names.into_iter().flatten() {
        if name.starts_with(prefix) {
            js.delete_stream(name)
                .await
                .map_err(std::io::Error::other)?;
        }
    }
    Ok(())
}
