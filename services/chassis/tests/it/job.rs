//! The job of an aggregate that is due.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use chassis::{
    Clock, Context, Store,
    base::{clock::ManualClock, faults::Faults, time::SignedDuration},
    client::peers::Peers,
    domain::event::Cause,
    messaging::in_process::InProcess,
    runtime::{
        context_runtime::{ContextRuntime, Wiring},
        deps::{Deps, RetryLater},
        settings::Settings,
    },
    store::StoreOptions,
};
use chassis_testing::{noon, open_store};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    broker::until,
    counter::{Command, Seat, SeatId},
    store::{Bench, Place, seat, store_suite},
};

const SEAT: SeatId = SeatId::from_u128(1);

/// A context at work whose job is `job`, with one seat, and the clock at the time at which the seat is due.
async fn due<F, Fut>(dir: &Path, job: F) -> (ContextRuntime, ManualClock)
where
    F: Fn(Deps, SeatId) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), RetryLater>> + Send + 'static,
{
    let context = Context::named("room").jobs::<Seat, _, _>(job);
    let clock = ManualClock::new(noon());
    let time = Clock::Manual(clock.clone());
    let store = open_store(&context, dir, time, Faults::default()).await;
    let around = Wiring {
        peers: Peers::new(),
        logs: Arc::new(BTreeMap::new()),
        bus: InProcess::new(),
        settings: Settings::default(),
    };
    let runtime = ContextRuntime::new(context, store.unwrap(), &around);
    let take = Command::Take {
        hall: "a".into(),
        capacity: 1,
    };
    let (store, cause) = (&runtime.deps.store, Cause::default());
    store.execute::<Seat>(SEAT, take, &cause).await.unwrap();
    clock.turn(SignedDuration::from_mins(15));
    (runtime, clock)
}

#[tokio::test]
async fn a_job_that_panics_is_run_again() {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let dir = tempfile::tempdir().unwrap();
    let (runtime, clock) = due(dir.path(), move |deps, seat| {
        let run = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            assert_ne!(run, 0, "the first run");
            let (leave, cause) = (Command::Leave, Cause::default());
            deps.store.execute::<Seat>(seat, leave, &cause).await?;
            Ok(())
        }
    })
    .await;

    runtime.step().await.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    clock.turn(SignedDuration::from_secs(1));
    runtime.step().await.unwrap();
    let left = runtime
        .deps
        .store
        .load::<Seat>(SEAT)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((left.state, runs.load(Ordering::SeqCst)), (Seat::Left, 2));
}

/// A leader that stops aborts a job that takes too long. When it leads again, the job runs again.
#[tokio::test]
async fn a_job_that_is_aborted_is_run_again() {
    let started = Arc::new(Notify::new());
    let notify = started.clone();
    let dir = tempfile::tempdir().unwrap();
    let (runtime, _) = due(dir.path(), move |_, _| {
        notify.notify_one();
        std::future::pending()
    })
    .await;
    for _ in 0..2 {
        tokio::select! {
            _ = runtime.step() => panic!("the job has not run"),
            () = started.notified() => {}
        }
    }
}

/// Opens a store that follows a clock.
async fn open(place: &Place, clock: &ManualClock) -> Store {
    let options = StoreOptions {
        clock: Clock::Manual(clock.clone()),
        ..StoreOptions::default()
    };
    place.open(options).await
}

fn run_on(store: Store, context: Context) -> ContextRuntime {
    let wiring = Wiring {
        peers: Peers::new(),
        logs: Arc::new(BTreeMap::new()),
        bus: InProcess::new(),
        settings: Settings::default(),
    };
    ContextRuntime::new(context, store, &wiring)
}

/// Takes seats, a second apart, and waits until all are due.
async fn take(store: &Store, clock: &ManualClock, seats: impl Iterator<Item = u128>) {
    for n in seats {
        let take = Command::Take {
            hall: n.to_string(),
            capacity: 1,
        };
        let cause = Cause::default();
        store.execute::<Seat>(seat(n), take, &cause).await.unwrap();
        clock.turn(SignedDuration::from_secs(1));
    }
    clock.turn(SignedDuration::from_mins(15));
}

async fn has_left(store: &Store, n: u128) -> bool {
    store.load::<Seat>(seat(n)).await.unwrap().unwrap().state == Seat::Left
}

async fn leave(store: Store, seat: SeatId) -> Result<(), RetryLater> {
    let cause = Cause::default();
    store.execute::<Seat>(seat, Command::Leave, &cause).await?;
    Ok(())
}

store_suite!(both:
    due_aggregates_that_fail_do_not_keep_others_waiting,
    jobs_that_run_do_not_keep_others_waiting,
    the_time_of_a_retry_survives_a_restart,
    a_failure_is_forgotten_when_the_state_changes,
);

async fn due_aggregates_that_fail_do_not_keep_others_waiting(bench: Bench) {
    let clock = ManualClock::new(noon());
    let store = open(&bench.place, &clock).await;
    let context = Context::named("room").jobs::<Seat, _, _>(|deps, id| async move {
        if id == seat(200) {
            leave(deps.store, id).await
        } else {
            Err(RetryLater("not now".into()))
        }
    });
    let runtime = run_on(store.clone(), context);
    take(&store, &clock, 1..=200).await;
    for _ in 0..5 {
        runtime.step().await.unwrap();
    }
    assert!(has_left(&store, 200).await);
}

async fn jobs_that_run_do_not_keep_others_waiting(bench: Bench) {
    let clock = ManualClock::new(noon());
    let store = open(&bench.place, &clock).await;
    let gate = Arc::new(Semaphore::new(0));
    let waits = gate.clone();
    let context = Context::named("room").jobs::<Seat, _, _>(move |deps, id| {
        let waits = waits.clone();
        async move {
            if id != seat(100) {
                let _permit = waits.acquire().await;
            }
            leave(deps.store, id).await
        }
    });
    let runtime = run_on(store.clone(), context);
    take(&store, &clock, 1..=100).await;
    let stop = CancellationToken::new();
    let mut work = runtime.run(&stop, std::time::Duration::from_secs(20));
    until("the last one is handled", async || {
        has_left(&store, 100).await
    })
    .await;
    assert!(!has_left(&store, 1).await);
    gate.add_permits(100);
    stop.cancel();
    while let Some(ended) = work.join_next().await {
        ended.unwrap();
    }
    assert!(has_left(&store, 1).await);
}

async fn the_time_of_a_retry_survives_a_restart(bench: Bench) {
    let clock = ManualClock::new(noon());
    let runs = Arc::new(AtomicU32::new(0));
    let start = async || {
        let counted = runs.clone();
        let context = Context::named("room").jobs::<Seat, _, _>(move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Err(RetryLater("not now".into())) }
        });
        run_on(open(&bench.place, &clock).await, context)
    };
    let runtime = start().await;
    take(&runtime.deps.store, &clock, 1..=1).await;
    let mut waits = BTreeSet::new();
    for attempt in 1..=4 {
        // The time until the next attempt doubles, over restarts too.
        let mut waited = 0;
        while runs.load(Ordering::SeqCst) < attempt {
            start().await.step().await.unwrap();
            clock.turn(SignedDuration::from_millis(100));
            waited += 1;
        }
        waits.insert(waited);
    }
    assert_eq!(waits, BTreeSet::from([1, 2, 4]));
}

async fn a_failure_is_forgotten_when_the_state_changes(bench: Bench) {
    let clock = ManualClock::new(noon());
    let store = open(&bench.place, &clock).await;
    let context = Context::named("room")
        .jobs::<Seat, _, _>(|_, _| async { Err(RetryLater("not now".into())) });
    let runtime = run_on(store.clone(), context);
    take(&store, &clock, 1..=1).await;
    runtime.step().await.unwrap();
    let due = || store.due(vec!["seat"], clock.now(), 9);
    assert_eq!(due().await.unwrap(), []);
    clock.turn(SignedDuration::from_secs(1));
    assert_eq!(due().await.unwrap()[0].failures, 1);
    leave(store.clone(), seat(1)).await.unwrap();
    assert_eq!(due().await.unwrap(), []);
}
