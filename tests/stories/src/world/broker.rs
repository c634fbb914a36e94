//! The broker of a world: a prefix of its own on the NATS server of the tests, behind a gate.

use std::env;

use async_nats::jetstream;
use chassis::{
    MemberId, base::random, messaging::jetstream::NatsSettings, runtime::config::Config,
};
use futures::future::join_all;

use super::{Gate, setup::server};

/// The variable with the URL of the NATS server of the tests.
const VARIABLE: &str = "BERTH_TEST_NATS_URL";
/// The size limit of a stream. Small, because a server reserves the limits of all streams.
const BYTES: i64 = 8 * 1024 * 1024;

/// The broker of a world. Its streams are deleted when it is dropped.
#[derive(Debug)]
pub(super) struct Broker {
    url: String,
    prefix: String,
    pub(super) gate: Gate,
}

impl Broker {
    pub(super) async fn new() -> Self {
        let url = env::var(VARIABLE).unwrap_or_else(|_| {
            panic!(
                "{VARIABLE} is not set; `cargo xtask test` sets it, or `cargo xtask servers -- cargo test`"
            )
        });
        Self {
            gate: Gate::before(server(&url)).await,
            prefix: format!("t-{}", random::id::<MemberId>()),
            url,
        }
    }

    /// The settings of a process for this broker.
    pub(super) fn settings(&self) -> NatsSettings {
        let address = self.gate.address().to_string();
        NatsSettings {
            nats_url: Some(self.url.replace(server(&self.url), &address).into()),
            nats_prefix: self.prefix.clone(),
            nats_max_bytes: BYTES,
            ..Config::default().nats
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let (url, prefix) = (self.url.clone(), self.prefix.clone());
        // The runtime of the test may be ending already.
        let tidies = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let client = async_nats::connect(url)
                    .await
                    .map_err(std::io::Error::other)?;
                let js = jetstream::new(client);
                let contexts = all::contexts().into_iter();
                let streams =
                    contexts.map(|context| js.delete_stream(format!("{prefix}-{}", context.name)));
                join_all(streams).await;
                Ok::<_, std::io::Error>(())
            })
        });
        // A failed clean-up must not hide the result of the story.
        let _ = tidies.join();
    }
}
