//! What every store must do when something goes wrong below it or inside a job.

use std::sync::{Arc, Barrier};

use chassis::{
    Clock,
    base::time::SignedDuration,
    domain::event::Cause,
    store::{ExecuteError, Store, StoreError, StoreOptions},
};
use chassis_testing::noon;

use crate::{
    counter::{Command, Seat},
    store::{Bench, head, log, seat, store_suite, take},
};

store_suite!(both:
    a_failed_commit_keeps_nothing,
    a_repeat_succeeds_after_a_lost_result,
    an_error_rolls_back_what_was_written,
    a_panic_in_a_job_does_not_affect_others,
    committed_changes_survive_reopening,
    times_of_an_aggregate_do_not_decrease_when_the_clock_is_set_back,
);

store_suite!(disk on sqlite:
    a_job_that_awaits_something_else_is_refused,
    a_full_disk_loses_nothing_that_was_acknowledged,
    a_disk_that_fills_up_under_load_keeps_exactly_what_was_acknowledged,
    a_read_only_disk_refuses_writes_and_still_reads,
    a_disk_that_cannot_sync_stops_the_store,
    a_cancelled_command_changes_nothing,
);

async fn a_cancelled_command_changes_nothing(bench: Bench) {
    let gate = Arc::new(Barrier::new(2));
    let pass = async || {
        let gate = gate.clone();
        tokio::task::spawn_blocking(move || gate.wait())
            .await
            .unwrap();
    };
    let (store, door) = (bench.store.clone(), gate.clone());
    let busy = tokio::spawn(async move {
        let held = store.transact(move |_| {
            let door = door.clone();
            Box::pin(async move {
                door.wait();
                door.wait();
                Ok::<(), StoreError>(())
            })
        });
        held.await
    });
    pass().await;
    let cause = Cause::default();
    {
        let queued = bench.store.execute::<Seat>(seat(1), take(1), &cause);
        assert!(futures::poll!(&mut Box::pin(queued)).is_pending());
    }
    pass().await;
    busy.await.unwrap().unwrap();
    // There is one seat, and it is free.
    let done = bench.store.execute::<Seat>(seat(2), take(1), &cause).await;
    assert_eq!(done.unwrap().events.len(), 1);
}

/// Sets something on the writer's own connection.
async fn pragma(store: &Store, pragma: &'static str) {
    let set: Result<(), StoreError> = store
        .transact(move |unit| {
            Box::pin(async move { unit.conn().query(pragma, vec![]).await.map(|_| ()) })
        })
        .await;
    set.unwrap();
}

async fn a_failed_commit_keeps_nothing(bench: Bench) {
    bench.faults.arm("store.commit", 1);
    let failed = bench
        .store
        .execute::<Seat>(seat(1), take(1), &Cause::default())
        .await
        .unwrap_err();
    assert!(matches!(
        failed,
        ExecuteError::Store(StoreError::Unavailable(_))
    ));
    assert_eq!(bench.store.load::<Seat>(seat(1)).await.unwrap(), None);
    bench
        .store
        .execute::<Seat>(seat(1), take(1), &Cause::default())
        .await
        .unwrap();
}

async fn a_repeat_succeeds_after_a_lost_result(bench: Bench) {
    bench.faults.arm("store.answer", 1);
    let lost = bench
        .store
        .execute::<Seat>(seat(1), take(1), &Cause::default())
        .await
        .unwrap_err();
    assert!(matches!(
        lost,
        ExecuteError::Store(StoreError::Unavailable(_))
    ));
    let again = bench
        .store
        .execute::<Seat>(seat(1), take(1), &Cause::default())
        .await
        .unwrap();
    assert_eq!((again.events.len(), again.now.version), (0, 1));
    assert_eq!(head(&bench.store).await, 1);
}

async fn an_error_rolls_back_what_was_written(bench: Bench) {
    let failed: Result<(), StoreError> = bench
        .store
        .transact(|unit| {
            Box::pin(async move {
                let taken = unit
                    .execute::<Seat>(seat(1), &take(1), &Cause::default())
                    .await;
                assert!(taken.is_ok());
                Err(StoreError::Bug("changed my mind".into()))
            })
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(bench.store.load::<Seat>(seat(1)).await.unwrap(), None);
    assert_eq!(bench.store.claims().await.unwrap(), []);
    assert_eq!(head(&bench.store).await, 0);
}

async fn a_job_that_awaits_something_else_is_refused(bench: Bench) {
    let failed: Result<(), StoreError> = bench
        .store
        .transact(|unit| {
            Box::pin(async move {
                let taken = unit
                    .execute::<Seat>(seat(1), &take(1), &Cause::default())
                    .await;
                assert!(taken.is_ok());
                tokio::task::yield_now().await;
                Ok(())
            })
        })
        .await;
    assert!(matches!(failed, Err(StoreError::Bug(_))));
    assert_eq!(bench.store.load::<Seat>(seat(1)).await.unwrap(), None);
}

async fn a_full_disk_loses_nothing_that_was_acknowledged(bench: Bench) {
    pragma(&bench.store, "PRAGMA max_page_count = 40").await;
    let mut kept = Vec::new();
    let full = loop {
        let next = seat(kept.len() as u128 + 1);
        match bench
            .store
            .execute::<Seat>(next, take(10_000), &Cause::default())
            .await
        {
            Ok(_) => kept.push(next),
            Err(error) => break error,
        }
        assert!(kept.len() < 10_000, "never full");
    };
    assert!(
        matches!(full, ExecuteError::Store(StoreError::Unavailable(_))),
        "{full:?}"
    );
    assert!(!kept.is_empty());
    for seat in &kept {
        assert!(bench.store.load::<Seat>(*seat).await.unwrap().is_some());
    }
    assert_eq!(bench.store.claims().await.unwrap().len(), kept.len());
    assert_eq!(head(&bench.store).await, i64::try_from(kept.len()).unwrap());

    pragma(&bench.store, "PRAGMA max_page_count = 4000").await;
    let next = seat(kept.len() as u128 + 1);
    bench
        .store
        .execute::<Seat>(next, take(10_000), &Cause::default())
        .await
        .unwrap();
    assert_eq!(
        head(&bench.store).await,
        i64::try_from(kept.len()).unwrap() + 1
    );
}

async fn a_disk_that_fills_up_under_load_keeps_exactly_what_was_acknowledged(bench: Bench) {
    pragma(&bench.store, "PRAGMA max_page_count = 60").await;
    let writers = (1..=2000).map(|n| {
        let store = bench.store.clone();
        tokio::spawn(async move {
            (
                n,
                store
                    .execute::<Seat>(seat(n), take(10_000), &Cause::default())
                    .await,
            )
        })
    });
    let mut kept = 0;
    for writer in writers.collect::<Vec<_>>() {
        let (n, done) = writer.await.unwrap();
        let found = bench.store.load::<Seat>(seat(n)).await.unwrap();
        match done {
            Ok(_) => {
                kept += 1;
                assert!(found.is_some(), "acknowledged and gone");
            }
            Err(ExecuteError::Store(StoreError::Unavailable(_))) => {
                assert!(found.is_none(), "refused and kept");
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(kept < 2000, "never full");
    assert_eq!(bench.store.claims().await.unwrap().len(), kept);
    assert_eq!(head(&bench.store).await, i64::try_from(kept).unwrap());
}

async fn a_read_only_disk_refuses_writes_and_still_reads(bench: Bench) {
    bench
        .store
        .execute::<Seat>(seat(1), take(9), &Cause::default())
        .await
        .unwrap();
    pragma(&bench.store, "PRAGMA query_only = 1").await;
    let refused = bench
        .store
        .execute::<Seat>(seat(2), take(9), &Cause::default())
        .await
        .unwrap_err();
    assert!(
        matches!(refused, ExecuteError::Store(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    assert!(bench.store.load::<Seat>(seat(1)).await.unwrap().is_some());
    let Bench { store, place, .. } = bench;
    drop(store);
    let again = place.open(StoreOptions::default()).await;
    assert!(again.load::<Seat>(seat(2)).await.unwrap().is_none());
    again
        .execute::<Seat>(seat(2), take(9), &Cause::default())
        .await
        .unwrap();
    assert_eq!(head(&again).await, 2);
}

async fn a_disk_that_cannot_sync_stops_the_store(bench: Bench) {
    bench
        .store
        .execute::<Seat>(seat(1), take(9), &Cause::default())
        .await
        .unwrap();
    bench.faults.arm("store.sync", 1);
    let lost = bench
        .store
        .execute::<Seat>(seat(2), take(9), &Cause::default())
        .await
        .unwrap_err();
    assert!(
        matches!(lost, ExecuteError::Store(StoreError::Unavailable(_))),
        "{lost:?}"
    );
    bench.store.stopped().await;
    let stopped = bench
        .store
        .execute::<Seat>(seat(3), take(9), &Cause::default())
        .await
        .unwrap_err();
    assert!(
        matches!(stopped, ExecuteError::Store(StoreError::Unavailable(_))),
        "{stopped:?}"
    );
    let Bench { store, place, .. } = bench;
    drop(store);
    let again = place.open(StoreOptions::default()).await;
    assert!(again.load::<Seat>(seat(1)).await.unwrap().is_some());
}

async fn a_panic_in_a_job_does_not_affect_others(bench: Bench) {
    let others = (1..=20).map(|n| {
        let store = bench.store.clone();
        tokio::spawn(async move {
            store
                .execute::<Seat>(seat(n), take(100), &Cause::default())
                .await
        })
    });
    let others: Vec<_> = others.collect();
    let panicked: Result<(), StoreError> = bench
        .store
        .transact(|unit| {
            Box::pin(async move {
                let taken = unit
                    .execute::<Seat>(seat(99), &take(100), &Cause::default())
                    .await;
                assert!(taken.is_err(), "a panic on purpose");
                Ok(())
            })
        })
        .await;
    assert!(matches!(panicked, Err(StoreError::Bug(_))));
    for other in others {
        other.await.unwrap().unwrap();
    }
    assert_eq!(bench.store.load::<Seat>(seat(99)).await.unwrap(), None);
    assert_eq!(head(&bench.store).await, 20);
}

async fn committed_changes_survive_reopening(bench: Bench) {
    bench
        .store
        .execute::<Seat>(seat(1), take(9), &Cause::default())
        .await
        .unwrap();
    let (before, claims) = (log(&bench.store).await, bench.store.claims().await.unwrap());
    let Bench { store, place, .. } = bench;
    drop(store);
    let again = place.open(StoreOptions::default()).await;
    assert!(again.load::<Seat>(seat(1)).await.unwrap().is_some());
    assert_eq!(log(&again).await, before);
    assert_eq!(again.claims().await.unwrap(), claims);
}

async fn times_of_an_aggregate_do_not_decrease_when_the_clock_is_set_back(bench: Bench) {
    let Clock::Manual(clock) = bench.store.clock().clone() else {
        panic!("a clock that nobody can turn");
    };
    let (store, cause) = (&bench.store, Cause::default());
    store
        .execute::<Seat>(seat(1), take(1), &cause)
        .await
        .unwrap();
    clock.turn(SignedDuration::from_mins(-5));
    let left = store.execute::<Seat>(seat(1), Command::Leave, &cause);
    let left = left.await.unwrap().now;
    assert_eq!((left.created, left.updated), (noon(), noon()));
    let loaded = store.load::<Seat>(seat(1)).await.unwrap().unwrap();
    assert_eq!(loaded.updated, noon());
    let log = store.log_of(seat(1).to_string()).await.unwrap();
    assert!(log.len() > 1);
    assert!(log.iter().all(|event| event.at == noon()), "{log:#?}");
    // What begins then has the time that is shown.
    let other = store.execute::<Seat>(seat(2), take(1), &cause);
    let other = other.await.unwrap().now;
    assert_eq!(other.created, clock.now());
}
