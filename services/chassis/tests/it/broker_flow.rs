//! Events travel through the broker, and not past it.

use chassis::domain::log_id::LogId;
use chassis::{
    Recorded, domain::event::Cause, messaging::bus::Signal,
    runtime::context_runtime::ContextRuntime,
};
use chassis_testing::noon;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    broker::{Prefix, client, until},
    consumer::{Pair, Readers, jetstream, over},
    tally::policies,
};

/// A pair at work, until it is dropped.
pub(crate) struct AtWork {
    pub(crate) pair: Pair,
    _producer: Running,
    consumer: Option<Running>,
}

/// A site whose workers run until this is dropped.
struct Running {
    stop: DropGuard,
    tasks: JoinSet<()>,
}

impl Running {
    fn new(site: &ContextRuntime) -> Self {
        let stop = CancellationToken::new();
        let tasks = site.run(&stop);
        Self {
            stop: stop.drop_guard(),
            tasks,
        }
    }
}

impl AtWork {
    pub(crate) fn on(pair: Pair) -> Self {
        Self {
            _producer: Running::new(&pair.producer),
            consumer: Some(Running::new(&pair.consumer)),
            pair,
        }
    }

    /// The consumer goes away.
    pub(crate) async fn goes(&mut self) {
        if let Some(Running { stop, mut tasks }) = self.consumer.take() {
            drop(stop);
            while tasks.join_next().await.is_some() {}
        }
    }

    /// The consumer comes back.
    pub(crate) fn comes(&mut self) {
        self.consumer = Some(Running::new(&self.pair.consumer));
    }

    /// Waits until the consumer has come to the end, and looks whether it heard of every seat once.
    pub(crate) async fn converges(&self) {
        let head = self.pair.producer.deps.store.head().await.unwrap();
        until("at the end", async || {
            self.pair.consumer.consumers[0].cursor().await.unwrap() == head
        })
        .await;
        for seat in 1..=u128::try_from(head).unwrap() {
            assert_eq!(self.pair.heard(seat).await, ["taken"], "seat {seat}");
        }
    }

    /// Takes so many more seats, and waits for nothing.
    pub(crate) async fn happens(&self, count: u128) {
        for _ in 0..count {
            self.pair.take(self.next().await).await;
        }
    }

    /// The seat that was not taken yet. Every seat is one event.
    async fn next(&self) -> u128 {
        let taken = self.pair.producer.deps.store.head().await.unwrap();
        u128::try_from(taken).unwrap() + 1
    }

    /// Takes seats and waits until the consumer has heard of the last.
    pub(crate) async fn take(&self, seats: std::ops::RangeInclusive<u128>) {
        for seat in seats.clone() {
            self.pair.take(seat).await;
        }
        until("heard of the last", async || {
            self.pair.heard(*seats.end()).await == ["taken"]
        })
        .await;
    }

    /// Waits until events come through the broker and not from the log.
    pub(crate) async fn flows(&self) {
        until("through the broker", async || {
            self.pair.log.read();
            self.take_more(1).await;
            self.pair.log.read() == 0
        })
        .await;
    }

    /// Takes so many more seats, and waits until the consumer has heard of the last.
    pub(crate) async fn take_more(&self, count: u128) {
        let next = self.next().await;
        self.take(next..=next + count - 1).await;
    }
}

/// Events of a log that are not on any disk.
fn events(from: i64, count: i64) -> Vec<Recorded> {
    let event = |seq| Recorded {
        producer: "room".into(),
        seq,
        id: format!("event {seq}"),
        event_type: "berth.room.v1.RoomReserved".into(),
        subject: "seat".into(),
        version: 1,
        at: noon(),
        data: vec![0; 256].into(),
        cause: Cause::default(),
    };
    (from..from + count).map(event).collect()
}

#[tokio::test]
async fn of_a_large_backlog_only_a_batch_is_held() {
    const BACKLOG: i64 = 100_000;
    let prefix = Prefix::new();
    let on = over(&prefix.settings(), Readers::new()).await;
    let (bus, topic) = (on.consumer, LogId::of("room"));
    assert_eq!(bus.high_water_mark(&topic).await.unwrap(), 0);
    drop(bus.subscribe(topic.clone(), "message").await.unwrap());
    for from in (1..BACKLOG).step_by(250) {
        let last = from + 249;
        let batch = events(from, 250);
        bus.publish(topic.clone(), batch, last).await.unwrap();
    }

    let stream = format!("{}-room", prefix.name());
    let stream = client().await.get_stream(stream).await.unwrap();
    let mut feed = bus.subscribe(topic, "message").await.unwrap();
    let mut next = 1;
    while next <= BACKLOG {
        let Signal::Events(batch) = feed.next().await.unwrap() else {
            continue;
        };
        assert!(batch.len() <= 256);
        if next % 10 == 1 {
            // Whatever the broker has sent and is not told that it was taken, is held here.
            let info = stream.consumer_info("message").await.unwrap();
            let held = info.num_ack_pending;
            // The bound that the consumer is made with; how many pulls overlap depends on the machine.
            assert!(held <= 1024, "{held}");
        }
        for event in batch {
            assert_eq!(event.seq, next);
            next += 1;
        }
        feed.acknowledge().await;
    }
    until("all of it is taken", async || {
        let info = stream.consumer_info("message").await.unwrap();
        info.num_ack_pending == 0 && info.num_redelivered == 0
    })
    .await;
}

#[tokio::test]
async fn events_come_through_the_broker_and_not_from_the_log() {
    let work = AtWork::on(Pair::on(jetstream, policies(|_| false)).await);
    work.flows().await;
    work.take_more(500).await;
    assert_eq!(work.pair.log.read(), 0);
}
