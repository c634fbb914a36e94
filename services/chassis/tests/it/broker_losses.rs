//! Whatever the broker loses, every event has its effect once, and after a recovery events are delivered through it again.

use async_nats::jetstream::stream::{Info, Stream};
use chassis::messaging::jetstream::JetStream;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use servers::{Nats, NatsOptions};

use crate::{
    broker::{jetstream, settings, until},
    broker_flow::AtWork,
    consumer::{Pair, Readers, over},
    tally::policies,
};

/// Number of events of which the broker loses some.
const MANY: u128 = 1000;

/// A running pair with a broker of its own.
struct Fragile {
    nats: Nats,
    work: AtWork,
}

impl Fragile {
    async fn new() -> Self {
        let nats = Nats::start(NatsOptions::default()).unwrap();
        let settings = settings(&nats.url(), "berth");
        let over = async |logs: Readers| over(&settings, logs).await;
        let pair = Pair::on(over, policies(|_| false)).await;
        let work = AtWork::on(pair);
        work.await_broker_delivery().await;
        Self { nats, work }
    }

    async fn stream(&self) -> Stream<Info> {
        let js = jetstream(&self.nats.url()).await;
        js.get_stream("berth-room").await.unwrap()
    }

    /// Publishes many events while the consumer is stopped.
    async fn fill(&mut self) -> Stream<Info> {
        self.work.stop_consumer().await;
        self.work.record(MANY).await;
        let head = self
            .work
            .pair
            .producer
            .deps
            .store
            .high_water_mark()
            .await
            .unwrap()
            .seq;
        let stream = self.stream().await;
        until("everything is published", async || {
            held(&stream).await == Some(head)
        })
        .await;
        self.work.pair.log.read();
        stream
    }

    /// Checks that every event has its effect, and that new ones are delivered through the broker.
    async fn assert_recovered(&self) {
        self.work.assert_converged().await;
        self.work.await_broker_delivery().await;
        self.work.take_more(100).await;
        assert_eq!(self.work.pair.log.read(), 0);
        self.work.assert_converged().await;
    }

    /// Deletes chosen messages that wait for the consumer.
    async fn lose(&mut self, choose: impl FnOnce(Vec<u64>) -> Vec<u64>) {
        let stream = self.fill().await;
        let state = stream.get_info().await.unwrap().state;
        let all = state.last_sequence + 1 - u64::try_from(MANY).unwrap()..=state.last_sequence;
        let lost = choose(all.collect());
        for sequence in &lost {
            assert!(stream.delete_message(*sequence).await.unwrap());
        }
        self.work.start_consumer();
        self.work.assert_converged().await;
        assert!(self.work.pair.log.read() >= lost.len());
        self.assert_recovered().await;
    }
}

/// The sequence number of the last event in a stream.
async fn held(stream: &Stream<Info>) -> Option<i64> {
    let last = stream.get_last_raw_message_by_subject("berth.events.room.>");
    let last = last.await.ok()?;
    last.headers.get("ce-sequence")?.as_str().parse().ok()
}

fn some(all: &mut [u64], of_thousand: usize) -> Vec<u64> {
    let count = all.len() * of_thousand / 1000;
    let (some, _) = all.partial_shuffle(&mut StdRng::seed_from_u64(1), count);
    some.to_vec()
}

#[tokio::test]
async fn a_backlog_is_delivered_through_the_broker() {
    let mut broker = Fragile::new().await;
    broker.fill().await;
    broker.work.start_consumer();
    broker.work.assert_converged().await;
    assert_eq!(broker.work.pair.log.read(), 0);
}

#[tokio::test]
async fn the_broker_loses_its_tail() {
    let mut broker = Fragile::new().await;
    broker.lose(|all| all[all.len() - 300..].to_vec()).await;
}

#[tokio::test]
async fn the_broker_loses_a_seventh_at_random() {
    Fragile::new()
        .await
        .lose(|mut all| some(&mut all, 141))
        .await;
}

#[tokio::test]
async fn the_broker_loses_half_at_random() {
    Fragile::new()
        .await
        .lose(|mut all| some(&mut all, 497))
        .await;
}

#[tokio::test]
async fn the_stream_is_purged() {
    let mut broker = Fragile::new().await;
    broker.fill().await.purge().await.unwrap();
    broker.work.start_consumer();
    broker.assert_recovered().await;
}

#[tokio::test]
async fn the_stream_is_deleted() {
    let mut broker = Fragile::new().await;
    broker.fill().await;
    let js = jetstream(&broker.nats.url()).await;
    js.delete_stream("berth-room").await.unwrap();
    broker.work.start_consumer();
    broker.assert_recovered().await;
    // Again, while the workers run.
    js.delete_stream("berth-room").await.unwrap();
    broker.work.take_more(100).await;
    broker.assert_recovered().await;
}

#[tokio::test]
async fn the_consumer_is_deleted() {
    let mut broker = Fragile::new().await;
    let stream = broker.fill().await;
    stream.delete_consumer("message").await.unwrap();
    broker.work.start_consumer();
    broker.assert_recovered().await;
    stream.delete_consumer("message").await.unwrap();
    broker.work.take_more(100).await;
    broker.assert_recovered().await;
    // The new consumer was not sent the events that were applied before.
    let consumer = stream.consumer_info("message").await.unwrap();
    let sent = consumer.delivered.consumer_sequence;
    assert!(sent < MANY.try_into().unwrap(), "sent {sent}");
}

#[tokio::test]
async fn the_broker_restarts() {
    let mut broker = Fragile::new().await;
    broker.nats.kill().unwrap();
    broker.work.take_more(100).await;
    broker.nats.restart().unwrap();
    broker.assert_recovered().await;
}

#[tokio::test]
async fn the_broker_is_replaced_by_an_empty_one() {
    let mut broker = Fragile::new().await;
    broker.fill().await;
    broker.nats.wipe().unwrap();
    broker.nats.restart().unwrap();
    broker.work.start_consumer();
    broker.assert_recovered().await;
}

#[tokio::test]
async fn the_disk_of_the_broker_vanishes() {
    let mut broker = Fragile::new().await;
    std::fs::remove_dir_all(broker.nats.dir().join("store")).unwrap();
    broker.work.take_more(200).await;
    broker.nats.restart().unwrap();
    broker.assert_recovered().await;
}

#[tokio::test]
async fn the_broker_hangs_for_a_while() {
    let broker = Fragile::new().await;
    broker.nats.pause().unwrap();
    broker.work.take_more(200).await;
    broker.nats.resume().unwrap();
    broker.assert_recovered().await;
}

#[tokio::test]
async fn the_broker_is_away_at_the_start() {
    let mut nats = Nats::start(NatsOptions::default()).unwrap();
    nats.kill().unwrap();
    let settings = settings(&nats.url(), "berth");
    let over = async |logs: Readers| {
        let bus = JetStream::connect(&settings, "room", logs).await.unwrap();
        let bus: std::sync::Arc<dyn chassis::messaging::bus::Bus> = std::sync::Arc::new(bus);
        bus.into()
    };
    let work = AtWork::on(Pair::on(over, policies(|_| false)).await);
    work.take_more(100).await;
    nats.restart().unwrap();
    Fragile { nats, work }.assert_recovered().await;
}
