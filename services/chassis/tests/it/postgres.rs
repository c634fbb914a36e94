//! Tests of what is particular to PostgreSQL.

use std::{collections::BTreeMap, time::Duration};

use chassis::{
    StoreError, args,
    domain::{
        event::{Cause, Recorded},
        position::Position,
    },
    store::{Migration, Store, StoreOptions, UnitOfWork, Write},
};
use chassis_testing::Scratch;
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, interval, timeout},
};

use crate::{
    counter::{Command, Seat},
    store::{Bench, Place, log, postgres, seat, sqlite, take},
};

pub(crate) const SEATS: u32 = 9_999;

/// Takes any seat.
pub(crate) async fn sit(store: &Store, n: u128) -> Result<i64, StoreError> {
    let cause = Cause::default();
    match store.execute::<Seat>(seat(n), take(SEATS), &cause).await {
        Ok(done) => Ok(done.now.version),
        Err(chassis::ExecuteError::Store(error)) => Err(error),
        Err(refused) => panic!("{refused}"),
    }
}

/// Takes the only seat of a hall of its own.
pub(crate) async fn sit_alone(store: &Store, n: u128) -> Result<i64, StoreError> {
    let take = Command::Take {
        hall: n.to_string(),
        capacity: 1,
    };
    let cause = Cause::default();
    match store.execute::<Seat>(seat(n), take, &cause).await {
        Ok(done) => Ok(done.now.version),
        Err(chassis::ExecuteError::Store(error)) => Err(error),
        Err(refused) => panic!("{refused}"),
    }
}

/// Takes any seat of a hall, as part of a transaction.
pub(crate) async fn sit_in(unit: &mut UnitOfWork<'_>, n: u128) -> Result<(), StoreError> {
    let (take, cause) = (take(SEATS), Cause::default());
    match unit.execute::<Seat>(seat(n), &take, &cause).await {
        Ok(_) => Ok(()),
        Err(chassis::ExecuteError::Store(error)) => Err(error),
        Err(refused) => panic!("{refused}"),
    }
}

/// A log has no gaps and no event twice, every aggregate's events are in order, and every event follows the one before.
pub(crate) fn assert_sound(log: &[Recorded]) {
    let mut versions = BTreeMap::new();
    let mut at = Position::START;
    for event in log {
        at = at.follow(event).unwrap();
        let before = versions.insert(&event.subject, event.version);
        assert_eq!(before.unwrap_or(0) + 1, event.version, "{}", event.subject);
    }
}

#[tokio::test]
async fn a_command_is_one_query_and_one_statement() {
    let Bench { store, .. } = &postgres().await;
    let cause = Cause::default();
    let leave = || async {
        let left = store.execute::<Seat>(seat(1), Command::Leave, &cause);
        left.await.unwrap();
    };
    // The statements are prepared, and there is a connection.
    for n in 100..102 {
        sit(store, n).await.unwrap();
        let left = store.execute::<Seat>(seat(n), Command::Leave, &cause);
        left.await.unwrap();
    }
    let mut before = store.round_trips();
    let mut took = || {
        let now = store.round_trips();
        now - std::mem::replace(&mut before, now)
    };
    sit(store, 1).await.unwrap();
    assert_eq!(took(), 2, "a new aggregate");
    sit(store, 1).await.unwrap();
    assert_eq!(
        took(),
        2,
        "a repeat looks at what is taken, and writes nothing"
    );
    leave().await;
    assert_eq!(took(), 2, "a command on what is there");
    leave().await;
    assert_eq!(took(), 1, "a repeat");
    store.load::<Seat>(seat(1)).await.unwrap();
    assert_eq!(took(), 1, "a look");
    let two: Result<(), StoreError> = store
        .transact(|unit| {
            Box::pin(async move {
                for n in 2..4 {
                    sit_in(unit, n).await?;
                }
                Ok(())
            })
        })
        .await;
    two.unwrap();
    assert_eq!(
        took(),
        6,
        "begin, and for each a question and a statement, and commit"
    );
}

#[tokio::test]
async fn events_are_numbered_in_commit_order() {
    let bench = postgres().await;
    let (written, is_written) = oneshot::channel();
    let (go, may_go) = watch::channel(false);
    let store = bench.store.clone();
    let first = tokio::spawn(async move {
        let written = std::sync::Mutex::new(Some(written));
        let done: Result<(), StoreError> = store
            .transact(move |unit| {
                let (written, mut may_go) = (written.lock().unwrap().take(), may_go.clone());
                Box::pin(async move {
                    sit_in(unit, 1).await?;
                    // Deferred writes are sent with the next query.
                    unit.conn().query("SELECT 1", args![]).await?;
                    written.unwrap().send(()).unwrap();
                    may_go.wait_for(|go| *go).await.unwrap();
                    Ok(())
                })
            })
            .await;
        done.unwrap();
    });
    is_written.await.unwrap();
    let hall = Command::Take {
        hall: "b".into(),
        capacity: 1,
    };
    let (store, cause) = (&bench.store, Cause::default());
    store.execute::<Seat>(seat(2), hall, &cause).await.unwrap();
    let subjects = |log: Vec<Recorded>| -> Vec<String> {
        assert_sound(&log);
        log.into_iter().map(|event| event.subject).collect()
    };
    let one = vec![seat(2).to_string()];
    assert_eq!(subjects(log(&bench.store).await), one);
    go.send_replace(true);
    first.await.unwrap();
    let both = vec![seat(2).to_string(), seat(1).to_string()];
    assert_eq!(subjects(log(&bench.store).await), both);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_and_several_numbering_processes_lose_no_event() {
    let bench = postgres().await;
    let (stop, stopped) = watch::channel(false);
    let numbering: Vec<_> = (0..3)
        .map(|_| {
            let (store, stopped) = (bench.store.clone(), stopped.clone());
            tokio::spawn(async move {
                while !*stopped.borrow() {
                    if !store.number_events().await.unwrap() {
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    let writers: Vec<_> = (0..16)
        .map(|writer| {
            let store = bench.store.clone();
            tokio::spawn(async move {
                for n in 0..10 {
                    let seat = seat(writer * 100 + n + 1);
                    let hall = format!("{writer}");
                    let take = Command::Take { hall, capacity: 9 };
                    let cause = Cause::default();
                    store.execute::<Seat>(seat, take, &cause).await.unwrap();
                    let left = store.execute::<Seat>(seat, Command::Leave, &cause);
                    left.await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    stop.send_replace(true);
    for process in numbering {
        process.await.unwrap();
    }
    let log = log(&bench.store).await;
    assert_eq!(log.len(), 320);
    assert_sound(&log);
}

#[tokio::test]
async fn a_lease_has_one_holder_at_a_time() {
    let Bench { store, .. } = &postgres().await;
    let (long, no_time) = (Duration::from_mins(1), Duration::ZERO);
    assert!(store.lease("work", "a", long).await.unwrap());
    assert!(!store.lease("work", "b", long).await.unwrap());
    assert!(store.lease("other", "b", long).await.unwrap());
    // Renewed, and over as soon as another one has seen it.
    assert!(store.lease("work", "a", no_time).await.unwrap());
    assert!(!store.lease("work", "b", long).await.unwrap());
    assert!(store.lease("work", "b", long).await.unwrap());
    assert!(!store.lease("work", "a", long).await.unwrap());
    store.release("work", "a").await.unwrap();
    assert!(!store.lease("work", "a", long).await.unwrap());
    store.release("work", "b").await.unwrap();
    assert!(store.lease("work", "a", long).await.unwrap());
}

#[tokio::test]
async fn a_lease_does_not_depend_on_the_clock_of_the_database() {
    let bench = postgres().await;
    let Place::Schema(scratch) = &bench.place else {
        panic!("no schema");
    };
    let (short, long) = (Duration::from_millis(300), Duration::from_mins(1));
    assert!(bench.store.lease("dead", "a", short).await.unwrap());
    assert!(bench.store.lease("alive", "a", long).await.unwrap());
    // New connections find this clock before the one of the server.
    let url = scratch.url() + "%2Cpg_catalog";
    let set_clock = async |to: &str| {
        let sql = format!(
            "CREATE OR REPLACE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql
             AS $$ SELECT pg_catalog.clock_timestamp() + INTERVAL '{to}' $$"
        );
        scratch.run(&sql).await;
        Store::postgres("room", &url, &scratch.settings(), StoreOptions::default()).unwrap()
    };
    let next = set_clock("-1 hour").await;
    let began = Instant::now();
    let acquired = async {
        let mut ticks = interval(Duration::from_millis(20));
        while !next.lease("dead", "b", short).await.unwrap() {
            ticks.tick().await;
        }
    };
    timeout(Duration::from_secs(5), acquired).await.unwrap();
    assert!(began.elapsed() >= short, "it was not watched long enough");
    assert!(!bench.store.lease("dead", "a", short).await.unwrap());

    let next = set_clock("1 hour").await;
    assert!(!next.lease("alive", "b", short).await.unwrap());
    assert!(bench.store.lease("alive", "a", long).await.unwrap());
}

#[tokio::test]
async fn a_lease_is_held_as_long_as_it_is_renewed() {
    let Bench { store, .. } = &postgres().await;
    let time = Duration::from_millis(400);
    let mut ticks = interval(time / 4);
    for _ in 0..8 {
        ticks.tick().await;
        assert!(store.lease("work", "a", time).await.unwrap());
        assert!(!store.lease("work", "b", time).await.unwrap());
    }
}

#[tokio::test]
async fn a_notification_signals_a_commit() {
    let Bench { store, .. } = &postgres().await;
    let mut commits = store.commits();
    commits.mark_unchanged();
    sit(store, 1).await.unwrap();
    assert!(commits.has_changed().unwrap());
    commits.mark_unchanged();
    // A repeat commits nothing.
    sit(store, 1).await.unwrap();
    assert!(!commits.has_changed().unwrap());
    store.notify_commit();
    assert!(commits.has_changed().unwrap());
}

const ADD_TITLE: Write = Write::insert("titles", "title, place", "$1, $2");

const TITLES: &[Migration] = &[Migration {
    name: "0001_titles",
    sql: "CREATE TABLE titles (title TEXT PRIMARY KEY, place BIGINT NOT NULL);
          CREATE INDEX titles_place ON titles (place)",
}];

#[tokio::test]
async fn texts_have_the_same_order_in_both_databases() {
    let titles = [
        "b", "B", "a", "Ä", "ä", "z", "Z", "a b", "a-b", "ab", "", "é", "10", "9", "_",
    ];
    let mut orders = Vec::new();
    for place in [sqlite().await.place, postgres().await.place] {
        let options = StoreOptions {
            migrations: TITLES,
            ..StoreOptions::default()
        };
        let store = place.open(options).await;
        let put: Result<(), StoreError> = store
            .transact(move |unit| {
                Box::pin(async move {
                    for (title, place) in titles.iter().zip(0..) {
                        unit.conn().write(&ADD_TITLE, args![*title, place]).await?;
                    }
                    Ok(())
                })
            })
            .await;
        put.unwrap();
        let rows = store.read(|conn| {
            let sql = "SELECT title, place FROM titles WHERE title > $1 ORDER BY title DESC";
            Box::pin(conn.query(sql, args!["9"]))
        });
        orders.push(rows.await.unwrap());
    }
    assert_eq!(orders[0], orders[1]);
    assert_eq!(orders[0].len(), 12);
}

#[tokio::test]
async fn concurrent_migrations_are_applied_once() {
    let scratch = Scratch::new().await;
    let options = || StoreOptions {
        migrations: TITLES,
        ..StoreOptions::default()
    };
    let open = || Store::postgres("room", &scratch.url(), &scratch.settings(), options()).unwrap();
    let store = open();
    let before = store.schema().await.unwrap();
    assert_eq!(before.needed[0], "chassis/0001_digest");
    assert_eq!(before.needed.last().unwrap(), "0001_titles");
    assert_eq!(before.missing, before.needed);

    let all: Vec<_> = (0..8)
        .map(|_| {
            let store = open();
            tokio::spawn(async move { store.migrate().await.unwrap() })
        })
        .collect();
    for one in all {
        one.await.unwrap();
    }
    assert_eq!(store.schema().await.unwrap().missing, Vec::<String>::new());
    store.migrate().await.unwrap();
    sit(&store, 1).await.unwrap();

    // A newer version has migrated the schema.
    let newer = "INSERT INTO migration VALUES ('9999_newer', 0); ALTER TABLE log ADD newer TEXT";
    scratch.run(newer).await;
    assert_eq!(store.schema().await.unwrap().missing, Vec::<String>::new());
    sit(&store, 2).await.unwrap();
    assert_eq!(log(&store).await.len(), 2);
}

const BROKEN: &[Migration] = &[
    TITLES[0],
    Migration {
        name: "0002_broken",
        sql: "ALTER TABLE nowhere ADD nothing TEXT",
    },
];

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_behind() {
    let place = Place::Schema(Scratch::new().await);
    let Place::Schema(scratch) = &place else {
        return;
    };
    let options = StoreOptions {
        migrations: BROKEN,
        ..StoreOptions::default()
    };
    let store = Store::postgres("room", &scratch.url(), &scratch.settings(), options).unwrap();
    let failed = store.migrate().await.unwrap_err();
    assert!(matches!(failed, StoreError::Bug(_)), "{failed}");
    let schema = store.schema().await.unwrap();
    assert_eq!(schema.missing, schema.needed);
}

#[tokio::test]
async fn a_missing_schema_is_created() {
    let scratch = Scratch::new().await;
    scratch
        .run(&format!("DROP SCHEMA {}", scratch.name()))
        .await;
    let (url, settings) = (scratch.url(), scratch.settings());
    let store = Store::postgres("room", &url, &settings, StoreOptions::default()).unwrap();
    let schema = store.schema().await.unwrap();
    assert_eq!(schema.missing, schema.needed);
    store.migrate().await.unwrap();
    sit(&store, 1).await.unwrap();
}
