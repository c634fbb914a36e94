//! Streams and consumers at the broker are created once, and updated to the settings.

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
async fn streams_and_consumers_are_created_once_and_updated() {
    let at = Provisioned::nothing().await;
    let mut settings = at.prefix.settings();
    let room = Context::named("room");
    let message = Context::named("message").policies(policies(|_| false));
    let name = at.prefix.name().to_owned();

    // The stream of the producer does not exist yet.
    let done = at.provision(&settings, &message).await;
    let waits = format!("consumer message waits for {name}-room");
    assert_eq!(done, [format!("stream {name}-message"), waits]);
    at.provision(&settings, &room).await;
    let done = at.provision(&settings, &message).await;
    let exists = format!("consumer message of {name}-room");
    assert_eq!(done, [format!("stream {name}-message"), exists]);

    // The events of the stream and the position of the consumer are kept.
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
async fn a_context_lists_its_consumers() {
    let pair = Pair::on(in_process, policies(|_| false)).await;
    let contexts = [&pair.producer, &pair.consumer];
    for context in contexts {
        let has = context.consumers.iter().map(|consumer| {
            let log = consumer.producer().clone();
            (consumer.name().clone(), log)
        });
        assert_eq!(context.context.consumers(), has.collect::<Vec<_>>());
    }
    assert_eq!(pair.consumer.consumers.len(), 1);
}
