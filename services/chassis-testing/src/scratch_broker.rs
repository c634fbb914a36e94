//! A NATS prefix for one test.

use async_nats::jetstream;
use chassis::{messaging::jetstream::NatsSettings, runtime::config::Config};
use futures::StreamExt;

/// The value of a variable that `cargo xtask` sets for tests.
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

/// Settings for a NATS server.
pub fn settings(url: &str, prefix: &str) -> NatsSettings {
    NatsSettings {
        nats_url: Some(url.into()),
        nats_prefix: prefix.to_owned(),
        nats_max_bytes: 128 * 1024 * 1024,
        ..Config::default().nats
    }
}

/// A prefix that no other test uses, on the shared NATS. Dropping it deletes its streams.
#[derive(Debug)]
pub struct ScratchBroker(String);

impl ScratchBroker {
    /// A new prefix.
    #[expect(clippy::new_without_default, reason = "each one is different")]
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
    /// Without a NATS server: a test must not pass without the server that it needs.
    pub fn settings(&self) -> NatsSettings {
        settings(&variable("BERTH_TEST_NATS_URL"), &self.0)
    }
}

impl Drop for ScratchBroker {
    fn drop(&mut self) {
        let prefix = format!("{}-", self.0);
        // The runtime of the test may have ended already.
        let tidy = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(delete_streams(&prefix))
        });
        // An error here must not hide why the test failed.
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
