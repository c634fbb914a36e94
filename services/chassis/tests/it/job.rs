//! The job of an aggregate that is due.

use std::{
    collections::BTreeMap,
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
        settings::Settings,
    },
};
use chassis_testing::{noon, open_store};

use crate::counter::{Command, Seat, SeatId};

#[tokio::test]
async fn a_job_that_panics_is_run_again() {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let context = Context::named("room").jobs::<Seat, _, _>(move |deps, seat| {
        let run = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            assert_ne!(run, 0, "the first run");
            let cause = Cause::default();
            deps.store
                .execute::<Seat>(seat, Command::Leave, &cause)
                .await?;
            Ok(())
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(noon());
    let time = Clock::Manual(clock.clone());
    let store = open_store(&context, dir.path(), time, Faults::default())
        .await
        .unwrap();
    let around = Wiring {
        peers: Peers::new(),
        logs: Arc::new(BTreeMap::new()),
        bus: InProcess::new(),
        settings: Settings::default(),
    };
    let runtime = ContextRuntime::new(context, store, &around);
    let seat = SeatId::from_u128(1);
    let take = Command::Take {
        hall: "a".into(),
        capacity: 1,
    };
    let store = &runtime.deps.store;
    store
        .execute::<Seat>(seat, take, &Cause::default())
        .await
        .unwrap();

    clock.turn(SignedDuration::from_mins(15));
    runtime.step().await.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    clock.turn(SignedDuration::from_secs(1));
    runtime.step().await.unwrap();
    let left = store.load::<Seat>(seat).await.unwrap().unwrap();
    assert_eq!((left.state, runs.load(Ordering::SeqCst)), (Seat::Left, 2));
}
