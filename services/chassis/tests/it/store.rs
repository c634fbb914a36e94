//! What every store must do.

use std::collections::BTreeSet;

use chassis::{
    Look,
    clock::{Clock, ManualClock},
    event::Cause,
    faults::Faults,
    store::{ExecuteError, Store, StoreError, StoreOptions},
    testing::noon,
};

use crate::counter::{Command, Refusal, Seat, SeatId};

fn seat(n: u128) -> SeatId {
    SeatId::from_u128(n)
}

fn take(capacity: u32) -> Command {
    Command::Take {
        hall: "a".into(),
        capacity,
    }
}

/// A store under test, and what keeps it alive.
pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) faults: Faults,
    _dir: tempfile::TempDir,
}

pub(crate) async fn sqlite() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let faults = Faults::default();
    let clock = Clock::Manual(ManualClock::new(noon()));
    let options = StoreOptions {
        clock,
        faults: faults.clone(),
        ..StoreOptions::default()
    };
    let store = Store::sqlite("room", &dir.path().join("room.db"), options)
        .await
        .unwrap();
    Bench {
        store,
        faults,
        _dir: dir,
    }
}

/// Runs every story on one engine.
macro_rules! store_suite {
    ($engine:ident: $($story:ident),+ $(,)?) => {
        mod $engine {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $story() {
                super::$story(super::$engine().await).await;
            })+
        }
    };
}

store_suite!(sqlite:
    a_command_is_kept_with_its_event_and_claim,
    a_repeat_changes_nothing,
    a_refused_command_changes_nothing,
    of_a_thousand_racers_as_many_win_as_there_are_seats,
    a_released_claim_can_be_taken_again,
    a_claim_leads_to_its_holder,
    what_is_due_is_found,
    a_failed_commit_keeps_nothing,
    a_lost_answer_is_healed_by_a_repeat,
    an_error_rolls_back_what_was_written,
    a_job_that_awaits_something_else_is_refused,
    sequence_numbers_have_no_gaps,
    a_full_disk_loses_nothing_that_was_acknowledged,
    a_disk_that_fills_up_under_load_keeps_exactly_what_was_acknowledged,
    a_read_only_disk_refuses_writes_and_still_reads,
    a_disk_that_cannot_sync_stops_the_store,
    a_panic_in_a_job_hurts_nobody_else,
    what_was_kept_is_there_after_opening_again,
);

async fn a_command_is_kept_with_its_event_and_claim(bench: Bench) {
    let done = bench
        .store
        .execute::<Seat>(seat(1), take(2), &Cause::by("somebody"))
        .await
        .unwrap();
    assert_eq!(done.events.len(), 1);
    assert_eq!(
        bench.store.load::<Seat>(seat(1)).await.unwrap(),
        Some(done.now.clone())
    );
    let claims = bench.store.claims().await.unwrap();
    assert_eq!(
        claims,
        [("hall/a".into(), "0001".into(), format!("seat/{}", seat(1)))]
    );
    let log = bench.store.log_after(0, 0, 10).await.unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!(
        (log[0].seq, log[0].version, log[0].cause.actor.as_str()),
        (1, 1, "somebody")
    );
    assert_eq!(log[0].event_type, "berth.room.v1.RoomReserved");
    assert_eq!(bench.store.log_of(seat(1).to_string()).await.unwrap(), log);
}

async fn a_repeat_changes_nothing(bench: Bench) {
    bench
        .store
        .execute::<Seat>(seat(1), take(2), &Cause::default())
        .await
        .unwrap();
    let again = bench
        .store
        .execute::<Seat>(seat(1), take(2), &Cause::default())
        .await
        .unwrap();
    assert!(again.events.is_empty());
    assert_eq!(again.now.version, 1);
    assert_eq!(bench.store.head(0).await.unwrap(), 1);
}

async fn a_refused_command_changes_nothing(bench: Bench) {
    let refused = bench
        .store
        .execute::<Seat>(seat(1), take(0), &Cause::default())
        .await
        .unwrap_err();
    assert_eq!(refused, ExecuteError::Refused(Refusal::Full));
    assert_eq!(bench.store.load::<Seat>(seat(1)).await.unwrap(), None);
    assert_eq!(bench.store.head(0).await.unwrap(), 0);
}

async fn of_a_thousand_racers_as_many_win_as_there_are_seats(bench: Bench) {
    let racers = (1..=1000).map(|n| {
        let store = bench.store.clone();
        tokio::spawn(async move {
            store
                .execute::<Seat>(seat(n), take(7), &Cause::default())
                .await
        })
    });
    let mut won = 0;
    for racer in racers.collect::<Vec<_>>() {
        match racer.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert_eq!(error, ExecuteError::Refused(Refusal::Full)),
        }
    }
    assert_eq!(won, 7);
    assert_eq!(
        bench.store.taken(Look::all("hall/a")).await.unwrap().len(),
        7
    );
    assert_eq!(bench.store.head(0).await.unwrap(), 7);
}

async fn a_released_claim_can_be_taken_again(bench: Bench) {
    bench
        .store
        .execute::<Seat>(seat(1), take(1), &Cause::default())
        .await
        .unwrap();
    bench
        .store
        .execute::<Seat>(seat(1), Command::Leave, &Cause::default())
        .await
        .unwrap();
    bench
        .store
        .execute::<Seat>(seat(2), take(1), &Cause::default())
        .await
        .unwrap();
    assert_eq!(bench.store.claims().await.unwrap().len(), 1);
}

async fn a_claim_leads_to_its_holder(bench: Bench) {
    let holder = || bench.store.holder::<Seat>("hall/a", "0001".into());
    let cause = Cause::default();
    assert_eq!(holder().await.unwrap(), None);
    bench
        .store
        .execute::<Seat>(seat(7), take(1), &cause)
        .await
        .unwrap();
    assert_eq!(holder().await.unwrap(), Some(seat(7)));
    bench
        .store
        .execute::<Seat>(seat(7), Command::Leave, &cause)
        .await
        .unwrap();
    assert_eq!(holder().await.unwrap(), None);
}

async fn what_is_due_is_found(bench: Bench) {
    bench
        .store
        .execute::<Seat>(seat(1), take(1), &Cause::default())
        .await
        .unwrap();
    let later = noon()
        .checked_add(chassis::time::SignedDuration::from_mins(15))
        .unwrap();
    assert_eq!(bench.store.due(noon(), 10).await.unwrap(), []);
    assert_eq!(
        bench.store.due(later, 10).await.unwrap(),
        [("seat".to_owned(), seat(1).to_string())]
    );
    bench
        .store
        .execute::<Seat>(seat(1), Command::Leave, &Cause::default())
        .await
        .unwrap();
    assert_eq!(bench.store.due(later, 10).await.unwrap(), []);
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

async fn a_lost_answer_is_healed_by_a_repeat(bench: Bench) {
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
    assert_eq!(bench.store.head(0).await.unwrap(), 1);
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
    assert_eq!(bench.store.head(0).await.unwrap(), 0);
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

async fn sequence_numbers_have_no_gaps(bench: Bench) {
    let work = (1..=200).map(|n| {
        let store = bench.store.clone();
        tokio::spawn(async move {
            // Every third is refused and rolls back.
            let capacity = if n % 3 == 0 { 0 } else { 1000 };
            let _ = store
                .execute::<Seat>(seat(n), take(capacity), &Cause::default())
                .await;
        })
    });
    for work in work.collect::<Vec<_>>() {
        work.await.unwrap();
    }
    let log = bench.store.log_after(0, 0, 1000).await.unwrap();
    assert_eq!(
        log.iter().map(|event| event.seq).collect::<Vec<_>>(),
        (1..=134).collect::<Vec<_>>()
    );
    let ids: BTreeSet<_> = log.iter().map(|event| event.id.clone()).collect();
    assert_eq!(ids.len(), 134);
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
    assert_eq!(
        bench.store.head(0).await.unwrap(),
        i64::try_from(kept.len()).unwrap()
    );

    pragma(&bench.store, "PRAGMA max_page_count = 4000").await;
    let next = seat(kept.len() as u128 + 1);
    bench
        .store
        .execute::<Seat>(next, take(10_000), &Cause::default())
        .await
        .unwrap();
    assert_eq!(
        bench.store.head(0).await.unwrap(),
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
    assert_eq!(
        bench.store.head(0).await.unwrap(),
        i64::try_from(kept).unwrap()
    );
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
    let Bench {
        store, _dir: dir, ..
    } = bench;
    drop(store);
    let again = Store::sqlite("room", &dir.path().join("room.db"), StoreOptions::default())
        .await
        .unwrap();
    assert!(again.load::<Seat>(seat(2)).await.unwrap().is_none());
    again
        .execute::<Seat>(seat(2), take(9), &Cause::default())
        .await
        .unwrap();
    assert_eq!(again.head(0).await.unwrap(), 2);
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
    let Bench {
        store, _dir: dir, ..
    } = bench;
    drop(store);
    let again = Store::sqlite("room", &dir.path().join("room.db"), StoreOptions::default())
        .await
        .unwrap();
    assert!(again.load::<Seat>(seat(1)).await.unwrap().is_some());
}

async fn a_panic_in_a_job_hurts_nobody_else(bench: Bench) {
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
    assert_eq!(bench.store.head(0).await.unwrap(), 20);
}

async fn what_was_kept_is_there_after_opening_again(bench: Bench) {
    bench
        .store
        .execute::<Seat>(seat(1), take(9), &Cause::default())
        .await
        .unwrap();
    let (log, claims) = (
        bench.store.log_after(0, 0, 9).await.unwrap(),
        bench.store.claims().await.unwrap(),
    );
    let Bench {
        store, _dir: dir, ..
    } = bench;
    drop(store);
    let again = Store::sqlite("room", &dir.path().join("room.db"), StoreOptions::default())
        .await
        .unwrap();
    assert!(again.load::<Seat>(seat(1)).await.unwrap().is_some());
    assert_eq!(again.log_after(0, 0, 9).await.unwrap(), log);
    assert_eq!(again.claims().await.unwrap(), claims);
}
