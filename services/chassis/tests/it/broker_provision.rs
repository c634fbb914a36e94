//! What is made at the broker is made once, and changed when it is to be different.

use std::time::Duration;

use async_nats::jetstream::{consumer::PullConsumer, stream::Info};
use chassis::{
    Context,
    messaging::jetstream::{JetStream, NatsSettings},
};

use crate::{
    broker::{Prefix, client, until},
    consumer::{Pair, Readers, in_process},
    tally::policies,
};

struct Provisioned {
    prefix: Prefix,
    js: async_nats::jetstream::Context,
}

impl Provisioned {
    async fn nothing() -> Self {
        let prefix = Prefix::new();
        let js = client().await;
        Self { prefix, js }
    }

    async fn provision(&self, settings: &NatsSettings, context: &Context) -> Vec<String> {
        let bus = JetStream::connect(settings, "test", Readers::new());
        let bus = bus.await.unwrap();
        until("connected", async || {
            chassis::messaging::bus::Bus::is_connected(&bus)
        })
        .await;
        bus.provision(context.name, &context.consumers())
            .await
            .unwrap()
    }

    async fn stream(&self, context: &str) -> Info {
        let name = format!("{}-{context}", self.prefix.name());
        let stream = self.js.get_stream(name).await.unwrap();
        stream.cached_info().clone()
    }

    async fn consumer(&self) -> PullConsumer {
        let name = format!("{}-room", self.prefix.name());
        let found = self.js.get_consumer_from_stream("message", name).await;
        found.unwrap()
    }
}

#[tokio::test]
async fn streams_and_consumers_are_made_once_and_changed_when_told() {
    let at = Provisioned::nothing().await;
    let mut settings = at.prefix.settings();
    let room = Context::named("room");
    let message = Context::named("message").policies(policies(|_| false));
    let name = at.prefix.name().to_owned();

    // The stream of the producer is not there yet.
    let done = at.provision(&settings, &message).await;
    let waits = format!("consumer message waits for {name}-room");
    assert_eq!(done, [format!("stream {name}-message"), waits]);
    at.provision(&settings, &room).await;
    let done = at.provision(&settings, &message).await;
    let made = format!("consumer message of {name}-room");
    assert_eq!(done, [format!("stream {name}-message"), made]);

    // What is there stays: its events, and how far the consumer has come.
    let subject = format!("{name}.events.room.x");
    for _ in 0..2 {
        let ack = at.js.publish(subject.clone(), "x".into()).await.unwrap();
        ack.await.unwrap();
    }
    settings.nats_max_age = Duration::from_mins(90);
    settings.nats_max_bytes = 1024 * 1024;
    let created = at.consumer().await.cached_info().created;
    for _ in 0..2 {
        at.provision(&settings, &room).await;
        at.provision(&settings, &message).await;
    }
    let stream = at.stream("room").await;
    assert_eq!(stream.state.messages, 2);
    assert_eq!(stream.config.max_age, Duration::from_mins(90));
    assert_eq!(stream.config.max_bytes, 1024 * 1024);
    let consumer = at.consumer().await;
    assert_eq!(consumer.cached_info().created, created);
    assert_eq!(consumer.cached_info().num_pending, 2);
}

#[tokio::test]
async fn a_context_knows_the_consumers_that_it_will_have() {
    let pair = Pair::on(in_process, policies(|_| false)).await;
    let sites = [&pair.producer, &pair.consumer];
    for site in sites {
        let has = site.consumers.iter().map(|consumer| {
            let topic = consumer.producer().clone();
            (consumer.name().to_owned(), topic)
        });
        assert_eq!(site.context.consumers(), has.collect::<Vec<_>>());
    }
    assert_eq!(pair.consumer.consumers.len(), 1);
}
