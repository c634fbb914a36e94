//! Everything that applies an event is one guarded transaction: a batch, the retry of a dead letter, a rebuild. So each
//! effect happens once, whatever runs concurrently.

use std::{sync::Arc, time::Duration};

use berth::{message::v1::MessageSent, room::v1::RoomReserved};
use chassis::{
    Received, StoreError, Views, args,
    base::{
        clock::{Clock, ManualClock},
        time::SignedDuration,
    },
    domain::{consumer_name::ConsumerName, log_id::LogId},
    messaging::{bus::Signal, consumer::Consumer, log_reader::LogReader},
    store::{Conn, Migration, Store, StoreOptions, Write},
};
use chassis_testing::{Scratch, noon, tape::Tape};
use tokio::{
    sync::Notify,
    task::{JoinHandle, JoinSet},
};

use crate::store::{Bench, Place, mark, postgres, seat, store_suite};

const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_meetings",
    sql: "CREATE TABLE reserved (id TEXT PRIMARY KEY, times BIGINT NOT NULL);
          CREATE TABLE sent (id TEXT PRIMARY KEY, times BIGINT NOT NULL);
          CREATE TABLE met (id TEXT PRIMARY KEY);
          CREATE TABLE locks (held BIGINT NOT NULL)",
}];

const COUNT_RESERVED: Write = Write::upsert(
    "reserved",
    "id, times",
    "$1, 1",
    &[1],
    "(id) DO UPDATE SET times = reserved.times + 1",
);
const COUNT_SENT: Write = Write::upsert(
    "sent",
    "id, times",
    "$1, 1",
    &[1],
    "(id) DO UPDATE SET times = sent.times + 1",
);
const ADD_BOTH: Write = Write::insert("met", "id", "$1");

async fn reserved(conn: &mut dyn Conn, event: Received<RoomReserved>) -> Result<(), StoreError> {
    record(conn, event.subject, &COUNT_RESERVED, "sent").await
}

async fn sent(conn: &mut dyn Conn, event: Received<MessageSent>) -> Result<(), StoreError> {
    record(conn, event.subject, &COUNT_SENT, "reserved").await
}

/// Counts an event, and records that both were counted if it is the second one.
async fn record(
    conn: &mut dyn Conn,
    id: String,
    count: &'static Write,
    other: &str,
) -> Result<(), StoreError> {
    conn.write(count, args![&*id]).await?;
    let find = format!("SELECT id FROM {other} WHERE id = $1");
    if !conn.query(&find, args![&*id]).await?.is_empty() {
        conn.write(&ADD_BOTH, args![id]).await?;
    }
    Ok(())
}

/// A store with read models, and a clock.
struct Stage {
    store: Store,
    clock: ManualClock,
}

impl Stage {
    async fn on(place: &Place) -> Self {
        let clock = ManualClock::new(noon());
        let options = StoreOptions {
            clock: Clock::Manual(clock.clone()),
            migrations: MIGRATIONS,
            ..StoreOptions::default()
        };
        let store = place.open(options).await;
        Self { store, clock }
    }

    /// A consumer of a log, as one of the leaders.
    fn consumer(&self, producer: &str, log: &Tape) -> Consumer {
        let log: Arc<dyn LogReader> = Arc::new(log.clone());
        let views = Views::new().on(reserved).on(sent);
        let (name, producer) = (ConsumerName::of_views("x"), LogId::of(producer));
        Consumer::of_views(name, producer, self.store.clone(), log, views)
    }

    /// Consumes a log while no event can be applied: all of its events become dead letters, which are due then.
    async fn fail_all(&self, consumers: &[&Consumer], head: i64) {
        for table in ["reserved", "sent"] {
            self.run(format!("ALTER TABLE {table} RENAME TO no_{table}"))
                .await;
        }
        for consumer in consumers {
            consumer
                .consume(Signal::HighWaterMark(mark(head)))
                .await
                .unwrap();
        }
        for table in ["reserved", "sent"] {
            self.run(format!("ALTER TABLE no_{table} RENAME TO {table}"))
                .await;
        }
        for consumer in consumers {
            assert_eq!(self.letters_of(consumer).await, head);
        }
        self.clock.turn(SignedDuration::from_mins(1));
    }

    /// How many dead letters a consumer has.
    async fn letters_of(&self, consumer: &Consumer) -> i64 {
        let all = (String::new(), String::new(), 0);
        let letters = self.store.dead_letters(all, 1000).await.unwrap();
        let producer = consumer.producer().context();
        let own = letters.iter().filter(|one| one.event.producer == producer);
        i64::try_from(own.count()).unwrap()
    }

    async fn run(&self, sql: String) {
        let done: Result<(), StoreError> = self
            .store
            .transact(move |unit| {
                let sql = sql.clone();
                Box::pin(async move { unit.conn().execute(&sql, args![]).await.map(|_| ()) })
            })
            .await;
        done.unwrap();
    }

    async fn number(&self, sql: &'static str) -> i64 {
        let rows = self.store.read(move |conn| conn.query(sql, args![])).await;
        rows.unwrap()[0].int(0).unwrap()
    }
}

/// Retries dead letters until none is left.
async fn retry_all(stage: Arc<Stage>, consumer: Consumer) {
    for _ in 0..1000 {
        let retried = consumer.retry().await;
        retried.unwrap();
        if stage.letters_of(&consumer).await == 0 {
            return;
        }
        stage.clock.turn(SignedDuration::from_mins(1));
    }
    panic!("{} are left", stage.letters_of(&consumer).await);
}

store_suite!(both:
    of_two_retries_at_once_one_sees_the_other,
    a_dead_letter_that_two_leaders_retry_has_one_effect,
    a_batch_and_a_retry_at_once_see_each_other,
    many_dead_letters_of_one_producer_do_not_keep_those_of_another_waiting,
);

async fn many_dead_letters_of_one_producer_do_not_keep_those_of_another_waiting(bench: Bench) {
    let stage = Stage::on(&bench.place).await;
    let (rooms, messages) = (Tape::of("room"), Tape::of("message"));
    for n in 0..100 {
        rooms.record(seat(n), noon(), "", &RoomReserved::default());
    }
    messages.record(seat(0), noon(), "", &MessageSent::default());
    let many = stage.consumer("room", &rooms);
    stage.fail_all(&[&many], 100).await;
    let one = stage.consumer("message", &messages);
    stage.fail_all(&[&one], 1).await;
    assert!(one.retry().await.unwrap());
    assert_eq!(stage.number("SELECT COUNT(*) FROM sent").await, 1);
}

async fn of_two_retries_at_once_one_sees_the_other(bench: Bench) {
    let stage = Arc::new(Stage::on(&bench.place).await);
    let (rooms, messages) = (Tape::of("room"), Tape::of("message"));
    for n in 0..40 {
        rooms.record(seat(n), noon(), "", &RoomReserved::default());
        messages.record(seat(n), noon(), "", &MessageSent::default());
    }
    let one = stage.consumer("room", &rooms);
    let other = stage.consumer("message", &messages);
    stage.fail_all(&[&one, &other], 40).await;
    let (one, other) = (
        tokio::spawn(retry_all(stage.clone(), one)),
        tokio::spawn(retry_all(stage.clone(), other)),
    );
    one.await.unwrap();
    other.await.unwrap();
    assert_eq!(stage.number("SELECT COUNT(*) FROM met").await, 40);
}

async fn a_dead_letter_that_two_leaders_retry_has_one_effect(bench: Bench) {
    let stage = Arc::new(Stage::on(&bench.place).await);
    let rooms = Tape::of("room");
    for n in 0..40 {
        rooms.record(seat(n), noon(), "", &RoomReserved::default());
    }
    let first = stage.consumer("room", &rooms);
    stage.fail_all(&[&first], 40).await;
    let mut leaders = JoinSet::new();
    for _ in 0..4 {
        let leader = stage.consumer("room", &rooms);
        leaders.spawn(retry_all(stage.clone(), leader));
    }
    while let Some(done) = leaders.join_next().await {
        done.unwrap();
    }
    let (times, count) = (
        "SELECT CAST(SUM(times) AS BIGINT) FROM reserved",
        "SELECT COUNT(*) FROM reserved",
    );
    assert_eq!(
        (stage.number(count).await, stage.number(times).await),
        (40, 40)
    );
}

async fn a_batch_and_a_retry_at_once_see_each_other(bench: Bench) {
    let stage = Arc::new(Stage::on(&bench.place).await);
    let (rooms, messages) = (Tape::of("room"), Tape::of("message"));
    for n in 0..40 {
        rooms.record(seat(n), noon(), "", &RoomReserved::default());
        messages.record(seat(n), noon(), "", &MessageSent::default());
    }
    let retried = stage.consumer("room", &rooms);
    stage.fail_all(&[&retried], 40).await;
    let new = stage.consumer("message", &messages);
    let consumes = tokio::spawn(async move {
        for head in 1..=40 {
            new.consume(Signal::HighWaterMark(mark(head)))
                .await
                .unwrap();
        }
    });
    retry_all(stage.clone(), retried).await;
    consumes.await.unwrap();
    assert_eq!(stage.number("SELECT COUNT(*) FROM met").await, 40);
}

/// The lock of the read models of a consumer.
const LOCK: &str =
    "SELECT 1 FROM pg_advisory_xact_lock(hashtextextended(current_schema() || '/' || $1, 1))";

/// Counts the locks that the transaction of a batch holds.
async fn count_locks(conn: &mut dyn Conn, _: Received<RoomReserved>) -> Result<(), StoreError> {
    let sql = "INSERT INTO locks (held) SELECT COUNT(*) FROM pg_locks
               WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()";
    conn.execute(sql, args![]).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_connection_breaks_while_it_waits_for_its_lock_holds_the_lock() {
    let bench = postgres().await;
    let stage = Stage::on(&bench.place).await;
    let Place::Schema(scratch) = &bench.place else {
        panic!("no schema")
    };
    let rooms = Tape::of("room");
    rooms.record(seat(1), noon(), "", &RoomReserved::default());
    let log: Arc<dyn LogReader> = Arc::new(rooms);
    let (name, producer) = (ConsumerName::of_views("x"), LogId::of("room"));
    let views = Views::new().on(count_locks);
    let consumer = Consumer::of_views(name, producer, stage.store.clone(), log, views);

    let (release, holder) = hold_lock(&bench.store).await;
    let batch = tokio::spawn(async move { consumer.consume(Signal::HighWaterMark(mark(1))).await });
    cut_waiting(scratch).await;
    // It has begun anew, on another connection.
    until_waiting(scratch).await;
    release.notify_one();
    holder.await.unwrap().unwrap();
    assert!(batch.await.unwrap().unwrap());
    assert_eq!(stage.number("SELECT held FROM locks").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_waits_for_a_writer_of_the_same_views() {
    let bench = postgres().await;
    let stage = Arc::new(Stage::on(&bench.place).await);
    let Place::Schema(scratch) = &bench.place else {
        panic!("no schema")
    };
    let rooms = Tape::of("room");
    rooms.record(seat(1), noon(), "", &RoomReserved::default());
    let consumer = stage.consumer("room", &rooms);
    stage.fail_all(&[&consumer], 1).await;
    let (release, holder) = hold_lock(&bench.store).await;
    let retry = tokio::spawn(retry_all(stage.clone(), consumer));
    until_waiting(scratch).await;
    release.notify_one();
    holder.await.unwrap().unwrap();
    retry.await.unwrap();
    assert_eq!(stage.number("SELECT COUNT(*) FROM reserved").await, 1);
}

/// Holds the lock of the views until it is notified.
async fn hold_lock(store: &Store) -> (Arc<Notify>, JoinHandle<Result<(), StoreError>>) {
    let (locked, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let holder = tokio::spawn({
        let (store, locked, release) = (store.clone(), locked.clone(), release.clone());
        async move {
            store
                .transact(move |unit| {
                    let (locked, release) = (locked.clone(), release.clone());
                    Box::pin(async move {
                        unit.conn().execute(LOCK, args!["x.views"]).await?;
                        locked.notify_one();
                        release.notified().await;
                        Ok(())
                    })
                })
                .await
        }
    });
    locked.notified().await;
    (release, holder)
}

/// Terminates the connection that waits for an advisory lock.
async fn cut_waiting(scratch: &Scratch) {
    let cut = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = '{}' AND wait_event = 'advisory'",
        scratch.name()
    );
    once(scratch, &cut).await;
}

/// Waits until a connection waits for an advisory lock.
async fn until_waiting(scratch: &Scratch) {
    let waiting = format!(
        "SELECT pid FROM pg_stat_activity WHERE application_name = '{}' AND wait_event = 'advisory'",
        scratch.name()
    );
    once(scratch, &waiting).await;
}

/// Runs a statement until it finds a row.
async fn once(scratch: &Scratch, sql: &str) {
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    for _ in 0..400 {
        ticks.tick().await;
        if scratch.run(sql).await == 1 {
            return;
        }
    }
    panic!("no connection waits");
}
