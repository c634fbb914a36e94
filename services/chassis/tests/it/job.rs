//! The job of an aggregate that is due.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use chassis::{
    Clock, Context,
    base::{clock::ManualClock, faults::Faults, time::SignedDuration},
    client::peers::Peers,
    domain::event::Cause,
    messaging::in_process::InProcess,
    runtime::{
        context_runtime::{ContextRuntime, Wiring},
        deps::{Deps, RetryLater},
        settings::Settings,
    },
};
use chassis_testing::{noon, open_store};
use tokio::sync::Notify;

use crate::counter::{Command, Seat, SeatId};

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
