//! What the engine for PostgreSQL must do when something goes wrong between it and the database.

use chassis::domain::log_id::LogId;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chassis::{
    StoreError, args,
    store::{DatabaseSettings, Store, StoreOptions},
};
use chassis_testing::Scratch;
use tokio::{sync::Barrier, task::JoinSet, time::timeout};

use crate::{
    counter::Seat,
    postgres::{assert_sound, sit, sit_alone, sit_in},
    store::{Bench, Place, log, postgres, seat},
    wire::Wire,
};

fn scratch(bench: &Bench) -> &Scratch {
    match &bench.place {
        Place::Schema(scratch) => scratch,
        Place::File(_) => panic!("no schema"),
    }
}

/// The process of the server that serves a store with one connection.
async fn backend_of(store: &Store) -> i64 {
    let sql = "SELECT CAST(pg_backend_pid() AS BIGINT)";
    let rows = store.read(|conn| Box::pin(conn.query(sql, args![])));
    rows.await.unwrap()[0].int(0).unwrap()
}

/// A store whose server is at the end of a wire.
async fn wired() -> (Scratch, Wire, Store) {
    let scratch = Scratch::new().await;
    let server = scratch.server();
    let place = server.split(['@', '/']).nth(3).unwrap().to_owned();
    let wire = Wire::to(place.clone()).await;
    let url = scratch.url_at(&server.replace(&place, &wire.here.to_string()));
    let settings = DatabaseSettings {
        database_timeout: Duration::from_secs(3),
        ..DatabaseSettings::of(&url)
    };
    let store = Store::postgres("room", &url, &settings, StoreOptions::default()).unwrap();
    store.migrate().await.unwrap();
    (scratch, wire, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_fifth_serialization_fails_and_every_command_has_one_effect() {
    let bench = postgres().await;
    bench.faults.arm_one_in("store.serialize", 5);
    let mut commands = JoinSet::new();
    for n in 1..=200 {
        let store = bench.store.clone();
        // Each is given twice, as by somebody who lost the answer.
        commands.spawn(async move { (sit(&store, n).await, sit(&store, n).await) });
    }
    while let Some(done) = commands.join_next().await {
        assert_eq!(done.unwrap(), (Ok(1), Ok(1)));
    }
    bench.faults.disarm("store.serialize");
    let log = log(&bench.store).await;
    assert_eq!(log.len(), 200);
    assert_sound(&log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_real_serialization_failures_every_command_has_one_effect() {
    let bench = postgres().await;
    let url = scratch(&bench).url() + "%20-cdefault_transaction_isolation%3Dserializable";
    let settings = DatabaseSettings::of(&url);
    let store = Store::postgres("room", &url, &settings, StoreOptions::default()).unwrap();
    let mut commands = JoinSet::new();
    for n in 1..=100 {
        let store = store.clone();
        commands.spawn(async move { sit(&store, n).await });
    }
    while let Some(done) = commands.join_next().await {
        assert_eq!(done.unwrap(), Ok(1));
    }
    let log = log(&bench.store).await;
    assert_eq!(log.len(), 100);
    assert_sound(&log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn both_transactions_of_a_deadlock_are_committed() {
    let bench = postgres().await;
    let first: Result<(), StoreError> = bench
        .store
        .transact(|unit| {
            Box::pin(async move {
                let sql = "INSERT INTO cursor (consumer, producer, epoch, seq, digest) VALUES ($1, '', 1, 0, $2)";
                for name in ["a", "b"] {
                    let digest = vec![0; 16];
                    unit.conn().execute(sql, args![name, digest]).await?;
                }
                Ok(())
            })
        })
        .await;
    first.unwrap();
    let (tries, meet) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(2)));
    let lock = |one: &'static str, other: &'static str| {
        let (store, tries, meet) = (bench.store.clone(), tries.clone(), meet.clone());
        tokio::spawn(async move {
            let done: Result<(), StoreError> = store
                .transact(move |unit| {
                    let (tries, meet) = (tries.clone(), meet.clone());
                    Box::pin(async move {
                        let sql = "UPDATE cursor SET seq = seq + 1 WHERE consumer = $1";
                        unit.conn().execute(sql, args![one]).await?;
                        if tries.fetch_add(1, Ordering::SeqCst) < 2 {
                            meet.wait().await;
                        }
                        unit.conn().execute(sql, args![other]).await.map(|_| ())
                    })
                })
                .await;
            done
        })
    };
    let (one, other) = (lock("a", "b"), lock("b", "a"));
    assert_eq!((one.await.unwrap(), other.await.unwrap()), (Ok(()), Ok(())));
    assert!(tries.load(Ordering::SeqCst) > 2, "none was tried again");
    for name in ["a", "b"] {
        let seq = bench.store.cursor(name.into(), LogId::of(""));
        assert_eq!(seq.await.unwrap().at.seq, 2);
    }
}

/// Takes two seats or none.
async fn sit_both(store: &Store, n: u128) -> Result<(), StoreError> {
    store
        .transact(move |unit| {
            Box::pin(async move {
                sit_in(unit, n).await?;
                sit_in(unit, n + 50).await
            })
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_connections_fail_no_read_and_repeat_no_write() {
    let bench = postgres().await;
    let mut work = JoinSet::new();
    for worker in 0..8_u128 {
        let store = bench.store.clone();
        work.spawn(async move {
            let mut lost = 0;
            for n in worker * 100 + 1..=worker * 100 + 25 {
                loop {
                    match sit_both(&store, n).await {
                        Ok(()) => break,
                        Err(StoreError::Unavailable(_)) => lost += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
                for n in [n, n + 50] {
                    let found = store.load::<Seat>(seat(n)).await.unwrap();
                    assert_eq!(found.unwrap().version, 1);
                }
            }
            lost
        });
    }
    let name = scratch(&bench).name();
    let kill = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = '{name}' AND pid <> pg_backend_pid() AND random() < 0.3"
    );
    let (mut killed, mut lost) = (0, 0);
    while !work.is_empty() {
        killed += scratch(&bench).run(&kill).await;
        while let Some(done) = work.try_join_next() {
            lost += done.unwrap();
        }
    }
    assert!(
        killed > 10,
        "{killed} connections were killed, {lost} answers lost"
    );
    let log = log(&bench.store).await;
    assert_eq!(log.len(), 400);
    assert_sound(&log);
}

#[tokio::test]
async fn a_repeat_succeeds_after_the_result_of_a_commit_was_lost() {
    let (_scratch, wire, store) = wired().await;
    sit(&store, 1).await.unwrap();
    // The question comes through, and the answer to the commit is lost with the connection.
    let lost: Result<(), StoreError> = store
        .transact({
            let wire = wire.clone();
            move |unit| {
                let wire = wire.clone();
                Box::pin(async move {
                    sit_in(unit, 2).await?;
                    wire.lose_answers();
                    Ok(())
                })
            }
        })
        .await;
    assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
    assert!(store.is_failing());
    wire.mend();
    assert_eq!(sit(&store, 2).await, Ok(1));
    store.probe().await.unwrap();
    assert!(!store.is_failing());
    assert_sound(&log(&store).await);
    assert_eq!(log(&store).await.len(), 2);
}

#[tokio::test]
async fn a_short_outage_of_the_database_is_not_noticed() {
    let (_scratch, wire, store) = wired().await;
    sit(&store, 1).await.unwrap();
    wire.cut();
    let (read, written, ()) = tokio::join!(store.load::<Seat>(seat(1)), sit(&store, 2), async {
        let mut ticks = tokio::time::interval(Duration::from_millis(300));
        ticks.tick().await;
        ticks.tick().await;
        wire.mend();
    });
    assert!(read.unwrap().is_some());
    assert_eq!(written, Ok(1));
}

#[tokio::test]
async fn a_long_outage_of_the_database_is_reported_at_once() {
    let (_scratch, wire, store) = wired().await;
    wire.cut();
    let first = store.load::<Seat>(seat(1)).await;
    assert!(
        matches!(first, Err(StoreError::Unavailable(_))),
        "{first:?}"
    );
    let next = timeout(Duration::from_secs(1), store.load::<Seat>(seat(1)));
    let next = next.await.unwrap();
    assert!(matches!(next, Err(StoreError::Unavailable(_))), "{next:?}");
    assert!(store.is_failing());
    assert!(store.probe().await.is_err());
    wire.mend();
    store.probe().await.unwrap();
    assert!(!store.is_failing());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cancelled_transaction_is_rolled_back() {
    let bench = postgres().await;
    let mut asked = JoinSet::new();
    for n in 1..=300_u64 {
        let store = bench.store.clone();
        asked.spawn(async move {
            let several = store.transact(move |unit| {
                Box::pin(async move {
                    for step in 0..3 {
                        sit_in(unit, u128::from(n * 10 + step)).await?;
                    }
                    Ok::<(), StoreError>(())
                })
            });
            // Most are broken off somewhere on the way.
            timeout(Duration::from_micros(n * 97 % 20_000), several).await
        });
    }
    let (mut done, mut broken) = (0, 0);
    while let Some(ended) = asked.join_next().await {
        match ended.unwrap() {
            Ok(ended) => {
                ended.unwrap();
                done += 1;
            }
            Err(_) => broken += 1,
        }
    }
    assert!(broken > 50, "{done} done, {broken} broken off");
    let open = "SELECT COUNT(*) FROM pg_stat_activity
                WHERE application_name = $1 AND state LIKE 'idle in transaction%'";
    let name = scratch(&bench).name().to_owned();
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let mut left = 1;
    for _ in 0..250 {
        ticks.tick().await;
        let name = name.clone();
        let rows = bench
            .store
            .read(move |conn| Box::pin(async move { conn.query(open, args![name]).await }));
        left = rows.await.unwrap()[0].int(0).unwrap();
        if left == 0 {
            break;
        }
    }
    assert_eq!(left, 0);
    let log = log(&bench.store).await;
    assert_sound(&log);
    assert_eq!(log.len() % 3, 0, "half a transaction");
    assert!(log.len() >= done * 3);
    sit(&bench.store, 1).await.unwrap();
}

/// Requests with a deadline of a millisecond must not make the pool connect anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_cancelled_calls_open_no_more_connections_than_the_pool_has() {
    let (scratch, wire, store) = wired().await;
    let before = wire.accepted();
    let mut calls = JoinSet::new();
    let mut cancelled = 0;
    for n in 1..=1_000 {
        let store = store.clone();
        let call = async move { timeout(Duration::from_millis(1), sit_alone(&store, n)).await };
        calls.spawn(call);
        if calls.len() == 20 {
            cancelled += usize::from(calls.join_next().await.unwrap().unwrap().is_err());
        }
    }
    while let Some(ended) = calls.join_next().await {
        cancelled += usize::from(ended.unwrap().is_err());
    }
    assert!(cancelled > 100, "{cancelled} of 1000 were cancelled");
    // All of the pool works, and a cancelled command has all of its effects or none.
    let mut calls = JoinSet::new();
    for n in 1..=1_000 {
        let store = store.clone();
        calls.spawn(async move { sit_alone(&store, n).await });
    }
    while let Some(ended) = calls.join_next().await {
        assert_eq!(ended.unwrap(), Ok(1));
    }
    let connections = scratch.settings().database_connections;
    let connected = wire.accepted() - before;
    assert!(connected <= connections, "{connected} connections");
    let log = log(&store).await;
    assert_eq!(log.len(), 1_000);
    assert_sound(&log);
}

#[tokio::test]
async fn a_connection_returned_mid_statement_is_used_again() {
    let bench = postgres().await;
    let settings = DatabaseSettings {
        database_connections: 1,
        database_timeout: Duration::from_secs(1),
        ..scratch(&bench).settings()
    };
    let url = scratch(&bench).url();
    let store = Store::postgres("room", &url, &settings, StoreOptions::default()).unwrap();
    let backend = backend_of(&store).await;
    let a_while = Duration::from_millis(300);
    let stuck: Result<Result<(), StoreError>, _> = timeout(
        a_while,
        store.transact(|unit| {
            Box::pin(async move {
                sit_in(unit, 1).await?;
                unit.conn().query("SELECT 1", args![]).await?;
                std::future::pending().await
            })
        }),
    )
    .await;
    assert!(stuck.is_err());
    sit(&store, 2).await.unwrap();
    let slow = store.read(|conn| Box::pin(conn.query("SELECT 1 FROM pg_sleep(60)", args![])));
    assert!(timeout(a_while, slow).await.is_err());
    // The statement timeout of the server has ended it.
    sit(&store, 3).await.unwrap();
    assert_eq!(backend_of(&store).await, backend);
    let log = log(&bench.store).await;
    assert_sound(&log);
    let sat: Vec<_> = log.into_iter().map(|event| event.subject).collect();
    assert_eq!(sat, [seat(2).to_string(), seat(3).to_string()]);
}

#[tokio::test]
async fn a_slow_statement_times_out() {
    let bench = postgres().await;
    let settings = DatabaseSettings {
        database_timeout: Duration::from_millis(200),
        database_connections: 1,
        ..scratch(&bench).settings()
    };
    let url = scratch(&bench).url();
    let store = Store::postgres("room", &url, &settings, StoreOptions::default()).unwrap();
    let slow = |store: Store| async move {
        let rows = store.read(|conn| Box::pin(conn.query("SELECT 1 FROM pg_sleep(60)", args![])));
        rows.await.map(|_| ())
    };
    let slept = timeout(Duration::from_secs(5), slow(store.clone()))
        .await
        .unwrap();
    assert!(
        matches!(slept, Err(StoreError::Unavailable(_))),
        "{slept:?}"
    );
    // One connection: the second waits for it no longer than it may.
    let (one, other) = tokio::join!(slow(store.clone()), slow(store.clone()));
    assert!(one.is_err() && other.is_err());
    sit(&store, 1).await.unwrap();
}

#[tokio::test]
async fn an_invalid_url_is_reported_without_its_password() {
    let wrong = "postgres://berth:hush@[oops/x";
    let settings = DatabaseSettings::of(wrong);
    let refused = Store::postgres("room", wrong, &settings, StoreOptions::default()).unwrap_err();
    assert!(!refused.to_string().contains("hush"), "{refused}");
    let nobody = "postgres://berth:hush@127.0.0.1:1/x";
    let settings = DatabaseSettings {
        database_timeout: Duration::from_millis(100),
        ..DatabaseSettings::of(nobody)
    };
    let store = Store::postgres("room", nobody, &settings, StoreOptions::default()).unwrap();
    let away = store.schema().await.unwrap_err();
    assert!(matches!(away, StoreError::Unavailable(_)));
    assert!(!format!("{away} {settings:?} {store:?}").contains("hush"));
}
