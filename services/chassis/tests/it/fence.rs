//! A log that has gone back is noticed, and what has not gone back is not taken for it.

use chassis::domain::log_id::LogId;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chassis::{
    Recorded, StoreError,
    domain::{consumer_name::ConsumerName, event::Cause, position::Position},
    messaging::{
        bus::{Bus, BusError, Signal, Subscription},
        in_process::InProcess,
        log_reader::LogReader,
        relay::relay_once,
    },
    store::{ExecuteError, Store, StoreOptions},
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use recovery::{May, Source, recover};

use crate::{
    consumer::{Pair, in_process},
    counter::Seat,
    recover::Kept,
    store::{Bench, head, mark, position, seat, store_suite, take},
    tally::policies,
};

store_suite!(both:
    a_store_whose_log_regressed_is_read_only,
    a_relay_that_has_published_beyond_the_log_fences_the_store,
    a_relay_that_has_read_beyond_the_log_fences_the_store,
    a_log_with_other_events_than_others_have_seen_is_read_only,
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
    let end = store.high_water_mark().await.unwrap();
    let report = async |cursor, consumer: &str| {
        let reported = reader
            .report_cursor(cursor, &consumer.into())
            .await
            .unwrap();
        assert_eq!((reported.high_water_mark, reported.resume), (end, None));
    };
    report(end, "view").await;
    report(Position::START, "view").await;
    assert_eq!(store.fenced(), None);
    report(mark(5), "view").await;
    let fence = store.fenced().unwrap();
    let reported = (fence.head, fence.seen, fence.witness.as_str());
    assert_eq!(reported, (3, 5, "view"));

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
    report(mark(4), "message").await;
    assert_eq!(store.fenced().unwrap().seen, 5);
    report(mark(9), "message").await;
    let other = bench.place.open(StoreOptions::default()).await;
    other.refresh_fence().await.unwrap();
    assert_eq!(other.fenced(), store.fenced());
    assert_eq!(other.fenced().unwrap().seen, 9);
}

async fn a_relay_that_has_published_beyond_the_log_fences_the_store(bench: Bench) {
    let store = &bench.store;
    sit(store, 1).await.unwrap();
    assert_eq!(head(store).await, 1);
    let bus = InProcess::new();
    let topic = LogId::of("room");
    let published = bus.publish(topic, Vec::new(), mark(4));
    published.await.unwrap();
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

async fn a_log_with_other_events_than_others_have_seen_is_read_only(bench: Bench) {
    let store = &bench.store;
    for n in 1..=3 {
        sit(store, n).await.unwrap();
    }
    head(store).await;
    let before: Vec<_> = crate::store::log(store)
        .await
        .iter()
        .map(position)
        .collect();
    lose_after(store, 2).await;
    // A new process does not remember; other events take the numbers of the lost ones, and more.
    let store = &bench.place.open(StoreOptions::default()).await;
    for n in 5..=7 {
        sit(store, n).await.unwrap();
    }
    assert_eq!(head(store).await, 5);
    let reader: &dyn LogReader = store;
    for known in [before[0], before[1]] {
        reader.report_cursor(known, &"view".into()).await.unwrap();
        assert_eq!(store.fenced(), None, "{known}");
    }
    reader
        .report_cursor(before[2], &"view".into())
        .await
        .unwrap();
    let fence = store.fenced().unwrap();
    assert_eq!((fence.head, fence.seen), (5, 3));
    assert_eq!(
        fence.to_string(),
        "the log has other events than view, which has applied events up to 3"
    );
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
                let last = events.last().map(position).unwrap_or_default();
                let known = bus.high_water_mark(&LogId::of("room")).await.unwrap();
                let head = store.high_water_mark().await.unwrap();
                let reader: &dyn LogReader = &store;
                for seen in [last, known, head] {
                    let reported = reader.report_cursor(seen, &"looker".into()).await.unwrap();
                    assert!(reported.high_water_mark.seq >= seen.seq);
                }
                store.refresh_fence().await.unwrap();
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
    consumer
        .consume(Signal::HighWaterMark(mark(1)))
        .await
        .unwrap();
    assert_eq!(store.fenced(), None);
    lose_after(store, 2).await;
    consumer
        .consume(Signal::HighWaterMark(mark(2)))
        .await
        .unwrap();
    let fence = store.fenced().unwrap();
    let reported = (fence.head, fence.seen, fence.witness.as_str());
    assert_eq!(reported, (2, 3, "message"));
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
    let second = pair.producer.deps.store.log_after(1, 1).await.unwrap();
    let digest = position(&second[0]).digest;
    // As if a standby that had received two seats had taken its place.
    let lost: Result<(), StoreError> = store
        .transact(move |unit| {
            Box::pin(async move {
                let conn = unit.conn();
                let sql = "UPDATE cursor SET seq = 2, digest = $1";
                let digest = digest.as_bytes().to_vec();
                conn.execute(sql, chassis::args![digest]).await?;
                let sql = "DELETE FROM aggregate WHERE id LIKE '%3'";
                conn.execute(sql, Vec::new()).await.map(|_| ())
            })
        })
        .await;
    lost.unwrap();
    assert!(pair.received(3).await.is_empty());
    for _ in 0..2 {
        consumer
            .consume(Signal::HighWaterMark(mark(3)))
            .await
            .unwrap();
    }
    assert_eq!(pair.received(3).await, ["taken"]);
}

/// The events of the producer's log, as others have seen them before a loss.
async fn lose_the_third(pair: &Pair) -> Vec<Recorded> {
    let before = pair.producer.deps.store.log_after(0, 100).await.unwrap();
    lose_after(&pair.producer.deps.store, 2).await;
    before
}

async fn recover_from(pair: &Pair, copy: Vec<Recorded>) {
    let store = &pair.producer.deps.store;
    let sources = [Source::Log(Arc::new(Kept(copy)))];
    let report = recover(store, &[], &sources, None, May::Lose).await;
    let report = report.unwrap().unwrap();
    assert!(report.recovered && report.fork_is_known, "{report}");
    assert_eq!((report.fork, report.moved, report.losses.len()), (2, 1, 1));
}

#[tokio::test]
async fn a_consumer_of_lost_events_notices_new_ones_with_their_numbers_and_receives_these_too() {
    let pair = Pair::on(in_process, policies(|_| false)).await;
    for n in 1..=3 {
        pair.take(n).await;
    }
    pair.settle().await;
    let before = lose_the_third(&pair).await;
    pair.take(4).await;
    pair.producer.step().await.unwrap();
    // The log is read-only once the consumer has reported what it knows.
    let _ = pair.consumer.step().await;
    let store = &pair.producer.deps.store;
    assert_eq!(store.fenced().map(|fence| fence.seen), Some(3));
    assert!(pair.received(4).await.is_empty());

    recover_from(&pair, before).await;
    pair.take(5).await;
    pair.settle().await;
    for n in 1..=5 {
        assert_eq!(pair.received(n).await, ["taken"], "{n}");
    }
    let cursor = pair.consumer.consumers[0].cursor().await.unwrap();
    assert_eq!(cursor.at, store.high_water_mark().await.unwrap());
    assert_eq!((cursor.at.epoch, cursor.at.seq), (2, 5));
}

#[tokio::test]
async fn a_consumer_of_new_events_with_the_numbers_of_lost_ones_receives_the_lost_ones_once() {
    let pair = Pair::on(in_process, policies(|_| false)).await;
    for n in 1..=2 {
        pair.take(n).await;
    }
    pair.settle().await;
    pair.take(3).await;
    let before = lose_the_third(&pair).await;
    pair.take(4).await;
    pair.settle().await;
    assert_eq!(pair.received(4).await, ["taken"]);
    // Another consumer had applied the lost event.
    let store = &pair.producer.deps.store;
    let reader: &dyn LogReader = store;
    let lost = position(&before[2]);
    reader.report_cursor(lost, &"view".into()).await.unwrap();
    assert!(store.fenced().is_some());

    recover_from(&pair, before).await;
    pair.take(5).await;
    pair.settle().await;
    for n in 1..=5 {
        assert_eq!(pair.received(n).await, ["taken"], "{n}");
    }
}

#[tokio::test]
async fn events_are_numbered_after_the_first_comparison_with_others() {
    let bench = crate::store::postgres().await;
    for n in 1..=2 {
        sit(&bench.store, n).await.unwrap();
    }
    let bus: Arc<dyn Bus> = Arc::new(Away);
    relay_once(&bench.store, &bus).await.unwrap_err();
    assert_eq!(bench.store.unnumbered().await.unwrap(), 2);
    // A consumer that asks the log is enough while the bus is away.
    let reader: &dyn LogReader = &bench.store;
    reader
        .report_cursor(Position::START, &"view".into())
        .await
        .unwrap();
    relay_once(&bench.store, &bus).await.unwrap_err();
    assert_eq!(bench.store.unnumbered().await.unwrap(), 0);
}

/// A bus that is away.
#[derive(Debug)]
struct Away;

#[tonic::async_trait]
impl Bus for Away {
    async fn high_water_mark(&self, _: &LogId) -> Result<Position, BusError> {
        Err(BusError("away".into()))
    }

    fn carries_events(&self) -> bool {
        true
    }

    async fn publish(&self, _: LogId, _: Vec<Recorded>, _: Position) -> Result<(), BusError> {
        Err(BusError("away".into()))
    }

    async fn subscribe(
        &self,
        _: LogId,
        _: &ConsumerName,
    ) -> Result<Box<dyn Subscription>, BusError> {
        Err(BusError("away".into()))
    }
}
