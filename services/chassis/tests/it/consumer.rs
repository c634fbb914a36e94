//! Whatever the bus loses, repeats or reorders, every event has its effect exactly once and in order.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use chassis::{
    Context, Policies, Recorded, Store,
    base::{
        clock::{Clock, ManualClock},
        faults::Faults,
        time::SignedDuration,
    },
    client::peers::Peers,
    domain::{
        consumer_name::ConsumerName,
        event::Cause,
        position::{Position, Reported},
    },
    messaging::{
        bus::Bus,
        dead_letters::MAX_ATTEMPTS,
        in_process::InProcess,
        jetstream::{JetStream, NatsSettings},
        log_reader::{LogError, LogReader},
    },
    runtime::{
        context_runtime::{ContextRuntime, Wiring},
        settings::Settings,
    },
};
use chassis_testing::{
    noon, open_store, settle,
    unreliable_bus::{FaultRates, UnreliableBus},
};
use futures::future::BoxFuture;
use proptest::prelude::*;

use crate::{
    broker::{Prefix, until},
    counter::{Command, Seat, SeatId},
    tally::{Tally, policies},
};

/// A producer of seats and a consumer that counts them.
pub(crate) struct Pair {
    pub(crate) producer: ContextRuntime,
    pub(crate) consumer: ContextRuntime,
    pub(crate) clock: ManualClock,
    pub(crate) faults: Faults,
    pub(crate) log: Arc<Counted>,
    _dir: tempfile::TempDir,
    _guard: Option<Prefix>,
}

/// A log that counts the events that are read from it.
#[derive(Debug)]
pub(crate) struct Counted {
    log: Store,
    read: AtomicUsize,
}

impl Counted {
    /// The number of events read since the last call.
    pub(crate) fn read(&self) -> usize {
        self.read.swap(0, Ordering::SeqCst)
    }
}

impl LogReader for Counted {
    fn read(&self, after: i64, limit: i64) -> BoxFuture<'_, Result<Vec<Recorded>, LogError>> {
        Box::pin(async move {
            let events = LogReader::read(&self.log, after, limit).await?;
            self.read.fetch_add(events.len(), Ordering::SeqCst);
            Ok(events)
        })
    }

    fn high_water_mark(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        LogReader::high_water_mark(&self.log)
    }

    fn report_cursor(
        &self,
        cursor: Position,
        consumer: &ConsumerName,
    ) -> BoxFuture<'_, Result<Reported, LogError>> {
        LogReader::report_cursor(&self.log, cursor, consumer)
    }
}

/// The logs that a bus can read.
pub(crate) type Readers = BTreeMap<String, Arc<dyn LogReader>>;

/// The two ends of a bus, and the guard that cleans up.
pub(crate) struct OnBus {
    pub(crate) producer: Arc<dyn Bus>,
    pub(crate) consumer: Arc<dyn Bus>,
    pub(crate) guard: Option<Prefix>,
}

impl From<Arc<dyn Bus>> for OnBus {
    fn from(bus: Arc<dyn Bus>) -> Self {
        Self {
            producer: bus.clone(),
            consumer: bus,
            guard: None,
        }
    }
}

impl Pair {
    pub(crate) async fn on(bus: impl AsyncFnOnce(Readers) -> OnBus, policies: Policies) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(noon());
        let faults = Faults::default();
        let time = Clock::Manual(clock.clone());
        let room = Context::named("room").deadlines::<Seat>();
        let message = Context::named("message").policies(policies);
        let rooms = open_store(&room, dir.path(), time.clone(), Faults::default())
            .await
            .unwrap();
        let messages = open_store(&message, dir.path(), time, faults.clone())
            .await
            .unwrap();
        let log = Arc::new(Counted {
            log: rooms.clone(),
            read: AtomicUsize::new(0),
        });
        let reader: Arc<dyn LogReader> = log.clone();
        let logs = BTreeMap::from([("room".to_owned(), reader)]);
        let on = bus(logs.clone()).await;
        let around = |bus: Arc<dyn Bus>| Wiring {
            peers: Peers::new(),
            logs: Arc::new(logs.clone()),
            bus,
            settings: Settings::default(),
        };
        Self {
            producer: ContextRuntime::new(room, rooms, &around(on.producer)),
            consumer: ContextRuntime::new(message, messages, &around(on.consumer)),
            clock,
            faults,
            log,
            _dir: dir,
            _guard: on.guard,
        }
    }

    pub(crate) async fn take(&self, seat: u128) {
        // Small halls: a free seat is found by a scan.
        let command = Command::Take {
            hall: (seat / 50).to_string(),
            capacity: 10_000,
        };
        let store = &self.producer.deps.store;
        store
            .execute::<Seat>(SeatId::from_u128(seat), command, &Cause::default())
            .await
            .unwrap();
    }

    pub(crate) async fn leave(&self, seat: u128) {
        let store = &self.producer.deps.store;
        store
            .execute::<Seat>(SeatId::from_u128(seat), Command::Leave, &Cause::default())
            .await
            .unwrap();
    }

    pub(crate) async fn settle(&self) {
        settle(&[self.producer.clone(), self.consumer.clone()], 200)
            .await
            .unwrap();
    }

    /// The events received about a seat, without its number.
    pub(crate) async fn received(&self, seat: u128) -> Vec<String> {
        let tally = self
            .consumer
            .deps
            .store
            .load::<Tally>(SeatId::from_u128(seat))
            .await
            .unwrap();
        let received = tally.map_or_else(Vec::new, |tally| tally.state.0);
        received
            .iter()
            .map(|event| event.split(' ').next().unwrap().to_owned())
            .collect()
    }

    async fn letters(&self) -> Vec<chassis::store::DeadLetter> {
        let all = (String::new(), String::new(), 0);
        self.consumer
            .deps
            .store
            .dead_letters(all, 1000)
            .await
            .unwrap()
    }
}

pub(crate) async fn in_process(_: Readers) -> OnBus {
    let bus: Arc<dyn Bus> = InProcess::new();
    bus.into()
}

/// On the shared NATS server, with a prefix of its own.
pub(crate) async fn jetstream(logs: Readers) -> OnBus {
    let prefix = Prefix::new();
    let on = over(&prefix.settings(), logs).await;
    OnBus {
        guard: Some(prefix),
        ..on
    }
}

/// On a NATS server.
pub(crate) async fn over(settings: &NatsSettings, logs: Readers) -> OnBus {
    let bus = JetStream::connect(settings, "room", logs).await.unwrap();
    until("connected", async || bus.is_connected()).await;
    let bus: Arc<dyn Bus> = Arc::new(bus);
    bus.into()
}

fn unreliable(fault_rates: FaultRates) -> OnBus {
    let bus: Arc<dyn Bus> = Arc::new(UnreliableBus::new(2, fault_rates));
    bus.into()
}

async fn reliable(_: Readers) -> OnBus {
    unreliable(FaultRates {
        lost: 0,
        repeated: 0,
        shuffled: false,
    })
}

async fn faulty(_: Readers) -> OnBus {
    unreliable(FaultRates {
        lost: 497,
        repeated: 400,
        shuffled: true,
    })
}

/// Runs every test on one bus.
macro_rules! bus_suite {
    ($bus:ident: $($test:ident),+ $(,)?) => {
        mod $bus {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::$bus).await;
            })+
        }
    };
}

macro_rules! every_bus {
    ($($bus:ident),+) => {$(
        bus_suite!($bus:
            every_event_has_its_effect_once_and_in_order,
            a_stopped_consumer_catches_up,
            a_failed_step_is_repeated,
            two_replicas_apply_each_event_once,
            a_failing_event_blocks_only_its_own_aggregate,
            a_relay_that_fails_after_publishing_publishes_again,
        );
    )+};
}

every_bus!(in_process, jetstream, reliable, faulty);

async fn every_event_has_its_effect_once_and_in_order(bus: impl AsyncFnOnce(Readers) -> OnBus) {
    let pair = Pair::on(bus, policies(|_| false)).await;
    for seat in 1..=50 {
        pair.take(seat).await;
    }
    pair.settle().await;
    for seat in 1..=50 {
        pair.leave(seat).await;
    }
    pair.settle().await;
    for seat in 1..=50 {
        assert_eq!(pair.received(seat).await, ["taken", "left"]);
    }
    assert_eq!(
        pair.consumer.consumers[0].cursor().await.unwrap().at.seq,
        100
    );
}

async fn a_stopped_consumer_catches_up(bus: impl AsyncFnOnce(Readers) -> OnBus) {
    let pair = Pair::on(bus, policies(|_| false)).await;
    for seat in 1..=600 {
        pair.take(seat).await;
        if seat % 100 == 0 {
            while pair.producer.step().await.unwrap() {}
        }
    }
    pair.settle().await;
    for seat in 1..=600 {
        assert_eq!(pair.received(seat).await, ["taken"]);
    }
}

async fn a_failed_step_is_repeated(bus: impl AsyncFnOnce(Readers) -> OnBus) {
    let pair = Pair::on(bus, policies(|_| false)).await;
    for seat in 1..=10 {
        pair.take(seat).await;
    }
    while pair.producer.step().await.unwrap() {}
    for point in ["consumer.message", "store.commit"] {
        pair.faults.arm(point, 1);
        assert!(pair.consumer.step().await.is_err());
        assert_eq!(pair.received(1).await, Vec::<String>::new());
    }
    // The bus has lost the events of the failed step; the next heartbeat shows the gap.
    pair.take(11).await;
    pair.settle().await;
    for seat in 1..=11 {
        assert_eq!(pair.received(seat).await, ["taken"]);
    }
}

async fn two_replicas_apply_each_event_once(bus: impl AsyncFnOnce(Readers) -> OnBus) {
    let pair = Pair::on(bus, policies(|_| false)).await;
    let other = pair.consumer.clone();
    for seat in 1..=100 {
        pair.take(seat).await;
    }
    while pair.producer.step().await.unwrap() {}
    // A replica may fail because the other was faster, but no event is applied twice.
    let (one, two) = tokio::join!(pair.consumer.step(), other.step());
    assert!(one.is_ok() || two.is_ok());
    pair.take(101).await;
    pair.settle().await;
    for seat in 1..=101 {
        assert_eq!(pair.received(seat).await, ["taken"]);
    }
}

async fn a_failing_event_blocks_only_its_own_aggregate(bus: impl AsyncFnOnce(Readers) -> OnBus) {
    let pair = Pair::on(bus, policies(|_| true)).await;
    for seat in 1..=8 {
        pair.take(seat).await;
        pair.leave(seat).await;
    }
    pair.settle().await;
    for seat in [2, 4, 6, 8] {
        assert_eq!(pair.received(seat).await, ["taken", "left"]);
    }
    let letters = pair.letters().await;
    assert_eq!(
        letters.len(),
        8,
        "the failing events, and the later ones of the same aggregates"
    );
    assert!(letters.iter().all(|letter| !letter.parked));
    assert_eq!(
        letters.iter().filter(|letter| letter.attempts == 0).count(),
        4
    );

    // Retried with back-off, then parked for an operator.
    for _ in 0..MAX_ATTEMPTS {
        pair.clock.turn(SignedDuration::from_mins(2));
        pair.settle().await;
    }
    let parked: Vec<_> = pair
        .letters()
        .await
        .into_iter()
        .filter(|letter| letter.parked)
        .collect();
    assert_eq!(parked.len(), 4);
    assert!(
        parked
            .iter()
            .all(|letter| letter.attempts == MAX_ATTEMPTS && !letter.reason.is_empty())
    );

    // Fixed and redriven: the later events follow in order.
    let policies = policies(|_| false);
    let fixed = Context::named("message").policies(policies);
    let around = Wiring {
        peers: Peers::new(),
        logs: pair.consumer.deps.logs.clone(),
        bus: InProcess::new(),
        settings: Settings::default(),
    };
    let fixed = ContextRuntime::new(fixed, pair.consumer.deps.store.clone(), &around);
    assert_eq!(fixed.deps.store.redrive(String::new()).await.unwrap(), 8);
    settle(&[fixed], 20).await.unwrap();
    for seat in 1..=8 {
        assert_eq!(pair.received(seat).await, ["taken", "left"], "seat {seat}");
    }
    assert_eq!(pair.letters().await, []);
}

async fn a_relay_that_fails_after_publishing_publishes_again(
    bus: impl AsyncFnOnce(Readers) -> OnBus,
) {
    let pair = Pair::on(bus, policies(|_| false)).await;
    let faults = &pair.producer.deps.faults;
    pair.take(1).await;
    faults.arm("relay.publish", 1);
    assert!(pair.producer.step().await.is_err());
    faults.arm("relay.published", 1);
    assert!(pair.producer.step().await.is_err());
    pair.settle().await;
    assert_eq!(pair.received(1).await, ["taken"]);
}

#[tokio::test]
async fn a_due_aggregate_is_handled_never_early() {
    let pair = Pair::on(in_process, policies(|_| false)).await;
    pair.take(1).await;
    pair.clock.turn(SignedDuration::new(15 * 60 - 1, 0));
    pair.settle().await;
    assert_eq!(pair.received(1).await, ["taken"]);
    pair.clock.turn(SignedDuration::from_secs(1));
    pair.settle().await;
    assert_eq!(pair.received(1).await, ["taken", "left"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_fault_rates_have_the_same_effect(seed in any::<u64>(), lost in 0_u32..=1000, repeated in 0_u32..=1000) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let bus = UnreliableBus::new(seed, FaultRates { lost, repeated, shuffled: true });
            let carries: Arc<dyn Bus> = Arc::new(bus.clone());
            let pair = Pair::on(async |_| carries.into(), policies(|_| false)).await;
            for seat in 1..=12 {
                pair.take(seat).await;
                if seat % 4 == 0 {
                    while pair.producer.step().await.unwrap() {}
                }
                if seat == 8 {
                    bus.forget();
                }
            }
            for seat in 1..=12 {
                pair.leave(seat).await;
            }
            pair.settle().await;
            for seat in 1..=12 {
                assert_eq!(pair.received(seat).await, ["taken", "left"]);
            }
        });
    }
}

/// If a log is damaged and has a gap, no event after the gap is applied until the gap is filled.
#[tokio::test]
async fn a_consumer_does_not_skip_a_gap_in_the_log() {
    let pair = Pair::on(in_process, policies(|_| false)).await;
    for seat in 1..=3 {
        pair.take(seat).await;
    }
    run(
        &pair,
        "CREATE TABLE lost AS SELECT * FROM log WHERE seq = 2",
    )
    .await;
    run(&pair, "DELETE FROM log WHERE seq = 2").await;
    pair.producer.step().await.unwrap();
    let error = pair.consumer.step().await.unwrap_err();
    assert!(error.to_string().contains("the log has a gap"), "{error}");
    let consumer = &pair.consumer.consumers[0];
    assert_eq!(consumer.cursor().await.unwrap().at.seq, 1);
    run(&pair, "INSERT INTO log SELECT * FROM lost").await;
    pair.settle().await;
    assert_eq!(consumer.cursor().await.unwrap().at.seq, 3);
    assert_eq!(pair.received(2).await.len(), 1);
}

/// Runs a statement in the producer's store.
async fn run(pair: &Pair, sql: &'static str) {
    let done: Result<(), chassis::StoreError> = pair
        .producer
        .deps
        .store
        .transact(move |unit| {
            Box::pin(async move {
                unit.conn().execute(sql, Vec::new()).await?;
                Ok(())
            })
        })
        .await;
    done.unwrap();
}
