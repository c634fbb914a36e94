//! Events are delivered through the broker, and not read from the log.

use chassis::domain::log_id::LogId;
use chassis::{
    Recorded,
    domain::{digest::LogDigest, event::Cause, position::Position},
    messaging::bus::Signal,
    runtime::context_runtime::ContextRuntime,
};
use chassis_testing::noon;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    broker::{Prefix, client, until},
    consumer::{Pair, Readers, jetstream, over},
    store::mark,
    tally::policies,
};

/// A pair whose workers run until it is dropped.
pub(crate) struct AtWork {
    pub(crate) pair: Pair,
    _producer: Running,
    consumer: Option<Running>,
}

/// A context whose workers run until this is dropped.
struct Running {
    stop: DropGuard,
    tasks: JoinSet<()>,
}

impl Running {
    fn new(context: &ContextRuntime) -> Self {
        let stop = CancellationToken::new();
        let tasks = context.run(&stop, std::time::Duration::from_secs(5));
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

    /// Stops the consumer.
    pub(crate) async fn stop_consumer(&mut self) {
        if let Some(Running { stop, mut tasks }) = self.consumer.take() {
            drop(stop);
            while tasks.join_next().await.is_some() {}
        }
    }

    /// Starts the consumer again.
    pub(crate) fn start_consumer(&mut self) {
        self.consumer = Some(Running::new(&self.pair.consumer));
    }

    /// Waits until the consumer is at the end of the log, and checks that it has received every event once.
    pub(crate) async fn assert_converged(&self) {
        let head = self
            .pair
            .producer
            .deps
            .store
            .high_water_mark()
            .await
            .unwrap()
            .seq;
        until("at the end of the log", async || {
            self.pair.consumer.consumers[0]
                .cursor()
                .await
                .unwrap()
                .at
                .seq
                == head
        })
        .await;
        for seat in 1..=u128::try_from(head).unwrap() {
            assert_eq!(self.pair.received(seat).await, ["taken"], "seat {seat}");
        }
    }

    /// Takes more seats, without waiting for the consumer.
    pub(crate) async fn record(&self, count: u128) {
        for _ in 0..count {
            self.pair.take(self.next().await).await;
        }
    }

    /// The next free seat. Every seat is one event.
    async fn next(&self) -> u128 {
        let taken = self
            .pair
            .producer
            .deps
            .store
            .high_water_mark()
            .await
            .unwrap()
            .seq;
        u128::try_from(taken).unwrap() + 1
    }

    /// Takes seats and waits until the consumer has received the last event.
    pub(crate) async fn take(&self, seats: std::ops::RangeInclusive<u128>) {
        for seat in seats.clone() {
            self.pair.take(seat).await;
        }
        until("the last event is received", async || {
            self.pair.received(*seats.end()).await == ["taken"]
        })
        .await;
    }

    /// Waits until events are delivered through the broker and not read from the log.
    pub(crate) async fn await_broker_delivery(&self) {
        until("delivered through the broker", async || {
            self.pair.log.read();
            self.take_more(1).await;
            self.pair.log.read() == 0
        })
        .await;
    }

    /// Takes more seats and waits until the consumer has received the last event.
    pub(crate) async fn take_more(&self, count: u128) {
        let next = self.next().await;
        self.take(next..=next + count - 1).await;
    }
}

/// Events that are in no store.
fn events(from: i64, count: i64) -> Vec<Recorded> {
    let event = |seq| Recorded {
        producer: "room".into(),
        seq,
        // The broker drops repeats by their digests.
        digest: LogDigest::from_bytes(&i128::from(seq).to_be_bytes()).unwrap(),
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
async fn memory_is_bounded_for_a_large_backlog() {
    const BACKLOG: i64 = 100_000;
    let prefix = Prefix::new();
    let on = over(&prefix.settings(), Readers::new()).await;
    let (bus, log) = (on.consumer, LogId::of("room"));
    assert_eq!(bus.high_water_mark(&log).await.unwrap(), Position::START);
    drop(bus.subscribe(log.clone(), &"message".into()).await.unwrap());
    for from in (1..BACKLOG).step_by(250) {
        let last = from + 249;
        let batch = events(from, 250);
        bus.publish(log.clone(), batch, mark(last)).await.unwrap();
    }

    let stream = format!("{}-room", prefix.name());
    let stream = client().await.get_stream(stream).await.unwrap();
    let mut subscription = bus.subscribe(log, &"message".into()).await.unwrap();
    let mut next = 1;
    while next <= BACKLOG {
        let Signal::Events(batch) = subscription.next().await.unwrap() else {
            continue;
        };
        assert!(batch.len() <= 256);
        if next % 10 == 1 {
            // Messages that the broker has sent and that are not acknowledged are in the memory of this process.
            let info = stream.consumer_info("message").await.unwrap();
            let held = info.num_ack_pending;
            // The limit of the consumer; how many pull requests overlap depends on the machine.
            assert!(held <= 1024, "{held}");
        }
        for event in batch {
            assert_eq!(event.seq, next);
            next += 1;
        }
        subscription.acknowledge().await;
    }
    until("everything is acknowledged", async || {
        let info = stream.consumer_info("message").await.unwrap();
        info.num_ack_pending == 0 && info.num_redelivered == 0
    })
    .await;
}

#[tokio::test]
async fn events_are_delivered_through_the_broker() {
    let work = AtWork::on(Pair::on(jetstream, policies(|_| false)).await);
    work.await_broker_delivery().await;
    work.take_more(500).await;
    assert_eq!(work.pair.log.read(), 0);
}
