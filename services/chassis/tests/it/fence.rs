//! A log that has gone back is noticed, and what has not gone back is not taken for it.

use chassis::domain::log_id::LogId;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chassis::{
    StoreError,
    domain::event::Cause,
    messaging::{
        bus::{Bus, Signal},
        in_process::InProcess,
        log_reader::LogReader,
        relay::relay_once,
    },
    store::{ExecuteError, Store, StoreOptions},
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{
    consumer::{Pair, in_process},
    counter::Seat,
    store::{Bench, head, seat, store_suite, take},
    tally::policies,
};

store_suite!(both:
    a_store_whose_log_regressed_is_read_only,
    a_relay_that_has_published_beyond_the_log_fences_the_store,
    a_relay_that_has_read_beyond_the_log_fences_the_store,
    concurrent_commits_and_reads_do_not_fence_the_store,
);

async fn sit(store: &Store, n: u128) -> Result<(), ExecuteError<crate::counter::Refusal>> {
    let cause = Cause::default();
    let done = store.execute::<Seat>(seat(n), take(10_000), &cause).await;
    done.map(|_| ())
}

/// What a failover or an old backup does.
async fn lose_after(store: &Store, seq: i64) {
    let lost: Result<(), StoreError> = store
        .transact(move |unit| {
            Box::pin(async move {
                let sql = "DELETE FROM log WHERE seq > $1";
                let lost = unit.conn().execute(sql, chassis::args![seq]);
                lost.await.map(|_| ())
            })
        })
        .await;
    lost.unwrap();
}

async fn a_store_whose_log_regressed_is_read_only(bench: Bench) {
    let store = &bench.store;
    for n in 1..=3 {
        sit(store, n).await.unwrap();
    }
    assert_eq!(head(store).await, 3);
    let reader: &dyn LogReader = store;
    assert_eq!(reader.report_cursor(3, "view").await, Ok(3));
    assert_eq!(store.fenced(), None);
    assert_eq!(reader.report_cursor(5, "view").await, Ok(3));
    let fence = store.fenced().unwrap();
    let told = (fence.head, fence.seen, fence.by.as_str());
    assert_eq!(told, (3, 5, "view"));

    let error = sit(store, 4).await.unwrap_err();
    let status = Status::from(error);
    let info = status.get_details_error_info().unwrap();
    assert_eq!(
        (status.code(), info.reason.as_str()),
        (Code::Unavailable, "LOG_REGRESSED")
    );
    assert!(status.get_details_retry_info().is_none());
    assert!(store.load::<Seat>(seat(1)).await.unwrap().is_some());
    assert!(store.load::<Seat>(seat(4)).await.unwrap().is_none());

    // Whoever has seen most counts, and another replica sees the fence.
    assert_eq!(reader.report_cursor(4, "message").await, Ok(3));
    assert_eq!(store.fenced().unwrap().seen, 5);
    assert_eq!(reader.report_cursor(9, "message").await, Ok(3));
    let other = bench.place.open(StoreOptions::default()).await;
    other.look_at_fence().await.unwrap();
    assert_eq!(other.fenced(), store.fenced());
    assert_eq!(other.fenced().unwrap().seen, 9);
}

async fn a_relay_that_has_published_beyond_the_log_fences_the_store(bench: Bench) {
    let store = &bench.store;
    sit(store, 1).await.unwrap();
    let bus = InProcess::new();
    let topic = LogId::of("room");
    let told = bus.publish(topic, Vec::new(), 4);
    told.await.unwrap();
    let bus: Arc<dyn Bus> = bus;
    relay_once(store, &bus).await.unwrap();
    let fence = store.fenced().unwrap();
    assert_eq!((fence.head, fence.seen), (1, 4));
    assert!(!relay_once(store, &bus).await.unwrap());
}

async fn a_relay_that_has_read_beyond_the_log_fences_the_store(bench: Bench) {
    let store = &bench.store;
    for n in 1..=4 {
        sit(store, n).await.unwrap();
    }
    assert_eq!(head(store).await, 4);
    lose_after(store, 2).await;
    let bus: Arc<dyn Bus> = InProcess::new();
    // What is committed in the meantime must not be given the numbers of what was lost.
    if matches!(bench.place, crate::store::Place::Schema(_)) {
        for n in 5..=8 {
            sit(store, n).await.unwrap();
        }
    }
    relay_once(store, &bus).await.unwrap();
    let fence = store.fenced().unwrap();
    assert_eq!((fence.head, fence.seen), (2, 4));
    assert_eq!(store.log_after(0, 100).await.unwrap().len(), 2);
}

async fn concurrent_commits_and_reads_do_not_fence_the_store(bench: Bench) {
    let store = &bench.store;
    let bus: Arc<dyn Bus> = InProcess::new();
    let done = Arc::new(AtomicBool::new(false));
    let mut lookers = tokio::task::JoinSet::new();
    for looker in 0..4 {
        let (store, bus, done) = (store.clone(), bus.clone(), done.clone());
        lookers.spawn(async move {
            let mut looked = 0;
            while !done.load(Ordering::SeqCst) || looked == 0 {
                if looker == 0 {
                    relay_once(&store, &bus).await.unwrap();
                }
                // Three ways to have seen it.
                let events = store.log_after(0, 10_000).await.unwrap();
                let last = events.last().map_or(0, |last| last.seq);
                let known = bus.high_water_mark(&LogId::of("room")).await.unwrap();
                let seen = last.max(known).max(store.head().await.unwrap());
                let reader: &dyn LogReader = &store;
                assert!(reader.report_cursor(seen, "looker").await.unwrap() >= seen);
                store.look_at_fence().await.unwrap();
                looked += 1;
            }
        });
    }
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8_u128 {
        let store = store.clone();
        writers.spawn(async move {
            for n in 1..=15 {
                sit(&store, writer * 1000 + n).await.unwrap();
            }
        });
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    while let Some(looked) = lookers.join_next().await {
        looked.unwrap();
    }
    assert_eq!(store.fenced(), None);
    assert_eq!(head(store).await, 120);
}

#[tokio::test]
async fn a_consumer_reports_a_regressed_log_and_ignores_old_signals() {
    let pair = Pair::on(in_process, policies(|_| false)).await;
    for n in 1..=3 {
        pair.take(n).await;
    }
    pair.settle().await;
    let (store, consumer) = (&pair.producer.deps.store, &pair.consumer.consumers[0]);
    consumer.consume(Signal::HighWaterMark(1)).await.unwrap();
    assert_eq!(store.fenced(), None);
    lose_after(store, 2).await;
    consumer.consume(Signal::HighWaterMark(2)).await.unwrap();
    let fence = store.fenced().unwrap();
    let told = (fence.head, fence.seen, fence.by.as_str());
    assert_eq!(told, (2, 3, "message"));
    // The producer stands still, and the consumer does not mind.
    let refused = sit(store, 9).await.unwrap_err();
    assert!(matches!(
        refused,
        ExecuteError::Store(StoreError::Fenced(_))
    ));
    pair.settle().await;
    assert_eq!(pair.received(3).await, ["taken"]);
}

#[tokio::test]
async fn a_consumer_whose_store_was_restored_applies_lost_events_again() {
    let pair = Pair::on(in_process, policies(|_| false)).await;
    for n in 1..=3 {
        pair.take(n).await;
    }
    pair.settle().await;
    let (store, consumer) = (&pair.consumer.deps.store, &pair.consumer.consumers[0]);
    // As if a standby that had heard of two seats had taken its place.
    let lost: Result<(), StoreError> = store
        .transact(|unit| {
            Box::pin(async move {
                for sql in [
                    "UPDATE cursor SET seq = 2",
                    "DELETE FROM aggregate WHERE id LIKE '%3'",
                ] {
                    unit.conn().execute(sql, Vec::new()).await?;
                }
                Ok(())
            })
        })
        .await;
    lost.unwrap();
    assert!(pair.received(3).await.is_empty());
    for _ in 0..2 {
        consumer.consume(Signal::HighWaterMark(3)).await.unwrap();
    }
    assert_eq!(pair.received(3).await, ["taken"]);
}
