//! A leader that is stopped hands over, whatever its jobs and the other replicas do.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chassis::{
    Clock, Context, Platform, Recorded,
    base::{clock::ManualClock, time::SignedDuration},
    domain::{consumer_name::ConsumerName, event::Cause, log_id::LogId},
    messaging::{
        bus::{Bus, BusError, Subscription},
        in_process::InProcess,
    },
    runtime::{context_runtime::ContextRuntime, options::Options},
    store::{Store, StoreOptions},
};
use chassis_testing::{Scratch, noon};
use tokio::{
    sync::Notify,
    time::{interval, timeout},
};

use crate::{
    counter::{Command, Seat, SeatId},
    postgres::sit_alone,
    stage::MOMENT,
};

/// Waits until a replica leads.
async fn until_leading(replica: &ContextRuntime) {
    let mut ticks = interval(Duration::from_millis(5));
    while !replica.leads() {
        ticks.tick().await;
    }
}

/// A bus on which nothing is published before another replica has committed more.
#[derive(Debug)]
struct NeverQuiet {
    bus: Arc<InProcess>,
    store: Store,
    commits: AtomicU64,
}

impl NeverQuiet {
    async fn commit(&self) {
        let n = self.commits.fetch_add(1, Ordering::SeqCst);
        sit_alone(&self.store, n.into()).await.unwrap();
    }
}

#[tonic::async_trait]
impl Bus for NeverQuiet {
    async fn high_water_mark(
        &self,
        log: &LogId,
    ) -> Result<chassis::domain::position::Position, BusError> {
        self.bus.high_water_mark(log).await
    }

    fn carries_events(&self) -> bool {
        self.bus.carries_events()
    }

    async fn publish(
        &self,
        log: LogId,
        events: Vec<Recorded>,
        high_water_mark: chassis::domain::position::Position,
    ) -> Result<(), BusError> {
        self.commit().await;
        self.bus.publish(log, events, high_water_mark).await
    }

    async fn subscribe(
        &self,
        log: LogId,
        consumer: &ConsumerName,
    ) -> Result<Box<dyn Subscription>, BusError> {
        self.bus.subscribe(log, consumer).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_leader_hands_over_while_other_replicas_commit_without_pause() {
    let scratch = Scratch::new().await;
    let settings = scratch.settings();
    let store = Store::postgres("room", &scratch.url(), &settings, StoreOptions::default());
    let store = store.unwrap();
    store.migrate().await.unwrap();
    let bus = Arc::new(NeverQuiet {
        bus: InProcess::new(),
        store,
        commits: AtomicU64::new(1),
    });
    let start = async |dir: &Path| {
        let mut options = Options::in_dir(dir);
        options.config.database = scratch.settings();
        options.config.lead.lease = Duration::from_secs(1);
        options.bus = Some(bus.clone());
        let contexts = vec![Context::named("room")];
        Platform::start(contexts, options).await.unwrap()
    };
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let first = start(dirs[0].path()).await;
    until_leading(&first.contexts()[0]).await;
    let second = start(dirs[1].path()).await;
    bus.commit().await;

    let (leader, standby) = (first.contexts()[0].clone(), second.contexts()[0].clone());
    let led = tokio::spawn(async move {
        let mut ticks = interval(Duration::from_millis(5));
        while leader.leads() {
            assert!(!(standby.leads() && leader.leads()), "two replicas lead");
            ticks.tick().await;
        }
    });
    // Sooner than the workers would be aborted.
    let stopped = timeout(Duration::from_secs(4), first.stop()).await;
    stopped.unwrap().unwrap();
    led.await.unwrap();
    timeout(MOMENT, until_leading(&second.contexts()[0]))
        .await
        .unwrap();
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_outlasts_the_grace_period_is_aborted_and_runs_again() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(noon());
    let start = async |started: Arc<Notify>| {
        let context = Context::named("room").jobs::<Seat, _, _>(move |_, _| {
            started.notify_one();
            std::future::pending()
        });
        let mut options = Options::in_dir(dir.path());
        options.clock = Clock::Manual(clock.clone());
        options.config.grace = Duration::from_secs(2);
        Platform::start(vec![context], options).await.unwrap()
    };
    let started = Arc::new(Notify::new());
    let platform = start(started.clone()).await;
    let take = Command::Take {
        hall: "a".into(),
        capacity: 1,
    };
    let store = platform.contexts()[0].deps.store.clone();
    let seat = SeatId::from_u128(1);
    let cause = Cause::default();
    store.execute::<Seat>(seat, take, &cause).await.unwrap();
    drop(store);
    clock.turn(SignedDuration::from_mins(15));
    timeout(MOMENT, started.notified()).await.unwrap();
    platform.stop().await.unwrap();

    let platform = start(started.clone()).await;
    timeout(MOMENT, started.notified()).await.unwrap();
    platform.stop().await.unwrap();
}
