//! Whatever the broker loses, every event has its effect once; and when it is well again, events come through it again.

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

/// How many events happen while the broker is to lose some.
const MANY: u128 = 1000;

/// A pair at work over a broker of its own.
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
        work.flows().await;
        Self { nats, work }
    }

    async fn stream(&self) -> Stream<Info> {
        let js = jetstream(&self.nats.url()).await;
        js.get_stream("berth-room").await.unwrap()
    }

    /// Much happens while the consumer is away, and the broker holds all of it.
    async fn fills(&mut self) -> Stream<Info> {
        self.work.goes().await;
        self.work.happens(MANY).await;
        let head = self.work.pair.producer.deps.store.head().await.unwrap();
        let stream = self.stream().await;
        until("all of it is published", async || {
            held(&stream).await == Some(head)
        })
        .await;
        self.work.pair.log.read();
        stream
    }

    /// Every event has its effect, and those that come now come through the broker.
    async fn recovers(&self) {
        self.work.converges().await;
        self.work.flows().await;
        self.work.take_more(100).await;
        assert_eq!(self.work.pair.log.read(), 0);
        self.work.converges().await;
    }

    /// Loses some of what it holds for the consumer: those that are chosen of as many as there are.
    async fn loses(&mut self, choose: impl FnOnce(Vec<u64>) -> Vec<u64>) {
        let stream = self.fills().await;
        let state = stream.get_info().await.unwrap().state;
        let all = state.last_sequence + 1 - u64::try_from(MANY).unwrap()..=state.last_sequence;
        let lost = choose(all.collect());
        for sequence in &lost {
            assert!(stream.delete_message(*sequence).await.unwrap());
        }
        self.work.comes();
        self.work.converges().await;
        assert!(self.work.pair.log.read() >= lost.len());
        self.recovers().await;
    }
}

/// The place in the log of the last event that a stream holds.
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
async fn a_backlog_comes_through_the_broker() {
    let mut broker = Fragile::new().await;
    broker.fills().await;
    broker.work.comes();
    broker.work.converges().await;
    assert_eq!(broker.work.pair.log.read(), 0);
}

#[tokio::test]
async fn it_loses_its_tail() {
    let mut broker = Fragile::new().await;
    broker.loses(|all| all[all.len() - 300..].to_vec()).await;
}

#[tokio::test]
async fn it_loses_a_seventh_at_random() {
    Fragile::new()
        .await
        .loses(|mut all| some(&mut all, 141))
        .await;
}

#[tokio::test]
async fn it_loses_half_at_random() {
    Fragile::new()
        .await
        .loses(|mut all| some(&mut all, 497))
        .await;
}

#[tokio::test]
async fn it_is_purged() {
    let mut broker = Fragile::new().await;
    broker.fills().await.purge().await.unwrap();
    broker.work.comes();
    broker.recovers().await;
}

#[tokio::test]
async fn its_stream_is_deleted() {
    let mut broker = Fragile::new().await;
    broker.fills().await;
    let js = jetstream(&broker.nats.url()).await;
    js.delete_stream("berth-room").await.unwrap();
    broker.work.comes();
    broker.recovers().await;
    // And once more, while everybody works.
    js.delete_stream("berth-room").await.unwrap();
    broker.work.take_more(100).await;
    broker.recovers().await;
}

#[tokio::test]
async fn it_forgets_the_consumer() {
    let mut broker = Fragile::new().await;
    let stream = broker.fills().await;
    stream.delete_consumer("message").await.unwrap();
    broker.work.comes();
    broker.recovers().await;
    stream.delete_consumer("message").await.unwrap();
    broker.work.take_more(100).await;
    broker.recovers().await;
    // The one that was made anew was not sent what had its effect long ago.
    let consumer = stream.consumer_info("message").await.unwrap();
    let sent = consumer.delivered.consumer_sequence;
    assert!(sent < MANY.try_into().unwrap(), "sent {sent}");
}

#[tokio::test]
async fn it_goes_away_and_comes_back() {
    let mut broker = Fragile::new().await;
    broker.nats.kill().unwrap();
    broker.work.take_more(100).await;
    broker.nats.restart().unwrap();
    broker.recovers().await;
}

#[tokio::test]
async fn it_comes_back_empty_as_another() {
    let mut broker = Fragile::new().await;
    broker.fills().await;
    broker.nats.wipe().unwrap();
    broker.nats.restart().unwrap();
    broker.work.comes();
    broker.recovers().await;
}

#[tokio::test]
async fn its_disk_vanishes_while_it_runs() {
    let mut broker = Fragile::new().await;
    std::fs::remove_dir_all(broker.nats.dir().join("store")).unwrap();
    broker.work.take_more(200).await;
    broker.nats.restart().unwrap();
    broker.recovers().await;
}

#[tokio::test]
async fn it_stands_still_for_a_while() {
    let broker = Fragile::new().await;
    broker.nats.pause().unwrap();
    broker.work.take_more(200).await;
    broker.nats.resume().unwrap();
    broker.recovers().await;
}

#[tokio::test]
async fn it_is_not_there_at_the_start() {
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
    Fragile { nats, work }.recovers().await;
}
