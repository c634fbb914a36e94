//! Random histories of losses: a database comes back without its last commits, and the broker, the consumers and the process
//! come and go in any order around it. A loss that somebody has seen is always noticed, nothing else is, and after a
//! recovery every consumer has applied every event once and no seat is held twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use chassis::{
    Context, Recorded,
    base::{
        clock::{Clock, ManualClock},
        faults::Faults,
        time::SignedDuration,
    },
    domain::{
        consumer_name::ConsumerName,
        event::Cause,
        log_id::LogId,
        position::{Position, Reported},
    },
    messaging::{
        bus::{Bus, BusError, Signal, Subscription},
        consumer::Consumer,
        log_reader::{LogError, LogReader},
        relay::{compare, relay_once},
    },
    runtime::{
        context_runtime::{ContextRuntime, Wiring},
        settings::Settings,
        stores::open_store,
    },
    store::Store,
};
use chassis_testing::{
    noon,
    unreliable_bus::{FaultRates, UnreliableBus},
};
use futures::future::BoxFuture;
use rand::{Rng, SeedableRng, rngs::StdRng};
use recovery::{Fate, May, Source, recover};

use crate::{
    counter::{Command, Seat, SeatId},
    recover::Kept,
    store::position,
    tally::{Tally, policies},
};

/// How many schedules are tried, unless `BERTH_TEST_SCHEDULES` says otherwise.
const SCHEDULES: u64 = 150;
/// The first seed.
const SEED: u64 = 20_261_201;
const CONSUMERS: [&str; 2] = ["message", "view"];

/// A broker that can be away. It remembers what was published.
#[derive(Debug)]
struct Broker {
    bus: UnreliableBus,
    away: AtomicBool,
}

impl Broker {
    fn connected(&self) -> Result<&UnreliableBus, BusError> {
        if self.away.load(Ordering::SeqCst) {
            Err(BusError("away".into()))
        } else {
            Ok(&self.bus)
        }
    }
}

#[tonic::async_trait]
impl Bus for Broker {
    async fn high_water_mark(&self, log: &LogId) -> Result<Position, BusError> {
        self.connected()?.high_water_mark(log).await
    }

    fn carries_events(&self) -> bool {
        true
    }

    async fn publish(
        &self,
        log: LogId,
        events: Vec<Recorded>,
        mark: Position,
    ) -> Result<(), BusError> {
        self.connected()?.publish(log, events, mark).await
    }

    async fn subscribe(
        &self,
        log: LogId,
        consumer: &ConsumerName,
    ) -> Result<Box<dyn Subscription>, BusError> {
        self.connected()?.subscribe(log, consumer).await
    }
}

/// The log of the producer's process that runs now, if one does.
#[derive(Clone, Debug, Default)]
struct Current(Arc<Mutex<Option<Store>>>);

impl Current {
    fn store(&self) -> Result<Store, LogError> {
        let store = self.0.lock().unwrap().clone();
        store.ok_or_else(|| LogError("down".into()))
    }
}

impl LogReader for Current {
    fn read(&self, after: i64, limit: i64) -> BoxFuture<'_, Result<Vec<Recorded>, LogError>> {
        Box::pin(async move { LogReader::read(&self.store()?, after, limit).await })
    }

    fn high_water_mark(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        Box::pin(async move { LogReader::high_water_mark(&self.store()?).await })
    }

    fn report_cursor(
        &self,
        cursor: Position,
        consumer: &ConsumerName,
    ) -> BoxFuture<'_, Result<Reported, LogError>> {
        let consumer = consumer.to_owned();
        Box::pin(async move { LogReader::report_cursor(&self.store()?, cursor, &consumer).await })
    }
}

struct World {
    dir: tempfile::TempDir,
    clock: ManualClock,
    broker: Arc<Broker>,
    log: Current,
    consumers: Vec<ContextRuntime>,
    random: StdRng,
    next: u128,
    /// The log before the loss, and where the older copy ends.
    lost: Option<(Vec<Recorded>, i64)>,
}

fn rooms() -> Context {
    Context::named("room").restores::<Seat>()
}

impl World {
    async fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let reliable = FaultRates {
            lost: 0,
            repeated: 0,
            shuffled: false,
        };
        let broker = Arc::new(Broker {
            bus: UnreliableBus::new(seed, reliable),
            away: AtomicBool::new(false),
        });
        let mut this = Self {
            dir,
            clock: ManualClock::new(noon()),
            broker,
            log: Current::default(),
            consumers: Vec::new(),
            random: StdRng::seed_from_u64(seed),
            next: 1,
            lost: None,
        };
        for name in CONSUMERS {
            let context = Context::named(name).policies(policies(|_| false));
            let clock = Clock::Manual(this.clock.clone());
            let store = open_store(&context, this.dir.path(), clock, Faults::default()).await;
            let log: Arc<dyn LogReader> = Arc::new(this.log.clone());
            let wiring = Wiring {
                peers: chassis::client::peers::Peers::new(),
                logs: Arc::new(BTreeMap::from([("room".to_owned(), log)])),
                bus: this.broker.clone(),
                settings: Settings::default(),
            };
            let runtime = ContextRuntime::new(context, store.unwrap(), &wiring);
            this.consumers.push(runtime);
        }
        this.start().await;
        this
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn store(&self) -> Store {
        self.log.store().unwrap()
    }

    fn bus(&self) -> Arc<dyn Bus> {
        self.broker.clone()
    }

    /// Starts the process of the producer, as [`chassis::Platform`] does: it compares its log with the broker first.
    async fn start(&self) {
        let clock = Clock::Manual(self.clock.clone());
        let store = open_store(&rooms(), self.dir.path(), clock, Faults::default()).await;
        let store = store.unwrap();
        compare(&store, &self.bus()).await.unwrap();
        *self.log.0.lock().unwrap() = Some(store);
    }

    fn stop(&self) {
        *self.log.0.lock().unwrap() = None;
    }

    /// Replaces the database by the older copy, while no process runs.
    async fn fail_over(&mut self) {
        let before = self.store().log_after(0, i64::MAX).await.unwrap();
        self.stop();
        // The last connection closes with its writer.
        let wal = self.file("room.db-wal");
        while wal.exists() {
            tokio::task::yield_now().await;
        }
        fs::copy(self.file("copy.db"), self.file("room.db")).unwrap();
        let owner_only = fs::Permissions::from_mode(0o600);
        fs::set_permissions(self.file("room.db"), owner_only).unwrap();
        if self.random.random_bool(0.5) {
            self.broker.away.store(true, Ordering::SeqCst);
        }
        self.start().await;
        let copied = self.store().high_water_mark().await.unwrap().seq;
        self.lost = Some((before, copied));
    }

    fn copy(&self) {
        let to = self.file("copy.db");
        let _ = fs::remove_file(&to);
        let from = rusqlite::Connection::open(self.file("room.db")).unwrap();
        let to = to.to_str().unwrap();
        from.execute("VACUUM INTO ?1", [to]).unwrap();
    }

    async fn take(&mut self) {
        self.clock.turn(SignedDuration::from_millis(1));
        let command = Command::Take {
            hall: "a".into(),
            capacity: 100,
        };
        let seat = SeatId::from_u128(self.next);
        self.next += 1;
        let (store, cause) = (self.store(), Cause::default());
        // Refused while the store is fenced.
        let _ = store.execute::<Seat>(seat, command, &cause).await;
    }

    async fn relay(&self) {
        // It fails while the broker is away.
        let _ = relay_once(&self.store(), &self.bus()).await;
    }

    /// A consumer receives what the broker has, or asks the log while the broker is away.
    async fn consume(&self, index: usize) {
        let consumer = self.consumer(index);
        let log = LogId::of("room");
        // A step that fails is tried again later.
        match self.broker.subscribe(log, consumer.name()).await {
            Ok(mut subscription) => {
                while let Some(signal) = subscription.try_next() {
                    let _ = consumer.consume(signal).await;
                }
            }
            Err(_) => {
                if let Ok(mark) = self.log.high_water_mark().await {
                    let _ = consumer.consume(Signal::HighWaterMark(mark)).await;
                }
            }
        }
    }

    fn consumer(&self, index: usize) -> &Consumer {
        &self.consumers[index].consumers[0]
    }

    async fn step(&mut self) {
        match self.random.random_range(0..20) {
            0..8 => self.take().await,
            8..12 => self.relay().await,
            12..16 => {
                let index = self.random.random_range(0..CONSUMERS.len());
                self.consume(index).await;
            }
            16 => self.broker.away.store(true, Ordering::SeqCst),
            17 => self.broker.away.store(false, Ordering::SeqCst),
            18 if self.lost.is_none() => self.copy(),
            _ => {
                self.stop();
                self.start().await;
            }
        }
    }

    /// Everything is back, and has time.
    async fn settle(&self) {
        self.broker.away.store(false, Ordering::SeqCst);
        for _ in 0..4 {
            self.relay().await;
            for index in 0..CONSUMERS.len() {
                let _ = self.consumer(index).report_cursor().await;
                self.consume(index).await;
            }
        }
    }

    /// Whether a consumer or the broker has events that the older copy lacks.
    async fn is_loss_known(&self, copied: i64) -> bool {
        let published = self.broker.bus.high_water_mark(&LogId::of("room")).await;
        let mut known = published.unwrap().seq;
        for index in 0..CONSUMERS.len() {
            known = known.max(self.consumer(index).cursor().await.unwrap().at.seq);
        }
        known > copied
    }

    /// The seats of the log's events: subject and number.
    async fn taken(&self) -> BTreeMap<String, String> {
        let log = self.store().log_after(0, i64::MAX).await.unwrap();
        let mut at = Position::START;
        let mut taken = BTreeMap::new();
        for event in log {
            at = at.follow(&event).unwrap();
            if !event.subject.is_empty() {
                let text = String::from_utf8_lossy(&event.data);
                let seat = text.split("taken ").nth(1).unwrap();
                let seat = seat.split(' ').next().unwrap().to_owned();
                assert_eq!(taken.insert(event.subject, seat), None);
            }
        }
        taken
    }
}

async fn run(seed: u64) -> Outcome {
    let mut world = World::new(seed).await;
    // A copy that has nothing in common with the log is refused.
    world.take().await;
    world.copy();
    let steps = world.random.random_range(5..25);
    for _ in 0..steps {
        world.step().await;
    }
    // What others know at the moment of the loss decides whether it must be noticed.
    world.fail_over().await;
    let copied = world.lost.as_ref().unwrap().1;
    let is_known = world.is_loss_known(copied).await;
    let steps = world.random.random_range(0..25);
    for _ in 0..steps {
        world.step().await;
    }
    world.settle().await;
    let fence = world.store().fenced();
    assert_eq!(fence.is_some(), is_known, "{fence:?}");
    let mut gone = BTreeSet::new();
    let mut moved = 0;
    if fence.is_some() {
        let before = world.lost.as_ref().unwrap().0.clone();
        let known = before.iter().map(position).last();
        let sources = [Source::Log(Arc::new(Kept(before)))];
        let restores = rooms().restores;
        let done = recover(&world.store(), &restores, &sources, None, May::Lose).await;
        let report = done.unwrap().unwrap();
        assert!(report.recovered && report.fork_is_known, "{report}");
        assert_eq!(report.fork, copied, "{report} {known:?}");
        moved = report.moved;
        for loss in report.losses {
            if loss.fate != Fate::Restored {
                gone.insert(loss.event.unwrap().subject);
            }
        }
        assert_eq!(restores[0].compare(&world.store()).await.unwrap(), [""; 0]);
    }
    world.take().await;
    world.settle().await;
    assert_eq!(world.store().fenced(), None);

    let taken = world.taken().await;
    let seats: BTreeSet<_> = taken.values().collect();
    assert_eq!(seats.len(), taken.len(), "a seat is sold twice: {taken:?}");
    let end = world.store().high_water_mark().await.unwrap();
    for (index, runtime) in world.consumers.iter().enumerate() {
        assert_eq!(world.consumer(index).cursor().await.unwrap().at, end);
        let store = &runtime.deps.store;
        for n in 1..world.next {
            let seat = SeatId::from_u128(n);
            let tally = store.load::<Tally>(seat).await.unwrap();
            let received = tally.map_or(0, |tally| tally.state.0.len());
            let expected = usize::from(taken.contains_key(&seat.to_string()));
            let is_gone = gone.contains(&seat.to_string());
            let name = CONSUMERS[index];
            assert!(received == expected || is_gone, "{name} {seat}: {received}");
        }
    }
    Outcome {
        noticed: is_known,
        moved: moved > 0,
        gone: !gone.is_empty(),
    }
}

/// What a schedule has shown.
struct Outcome {
    noticed: bool,
    moved: bool,
    gone: bool,
}

/// Scenario: S24, S30.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_is_noticed_and_recovered_in_any_order_of_events() {
    let schedules = env::var("BERTH_TEST_SCHEDULES").ok();
    let schedules = schedules.map_or(SCHEDULES, |number| number.parse().unwrap());
    let (mut noticed, mut moved, mut gone) = (0, 0, 0);
    for seed in SEED..SEED + schedules {
        let ran = tokio::spawn(run(seed)).await;
        let outcome = ran.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        noticed += u32::from(outcome.noticed);
        moved += u32::from(outcome.moved);
        gone += u32::from(outcome.gone);
    }
    println!(
        "{schedules} schedules: {noticed} losses noticed, {moved} with moved events, {gone} with lost seats"
    );
    // Otherwise the schedules show nothing.
    assert!(
        noticed > 0 && moved > 0 && gone > 0,
        "{noticed} {moved} {gone}"
    );
}
