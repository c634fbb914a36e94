//! PostgreSQL.

use servers::{Postgres, PostgresOptions};

use crate::{is_there, runs};

#[test]
fn what_was_committed_survives_a_kill_and_a_pause() {
    let mut postgres = Postgres::start(PostgresOptions::default()).unwrap();
    let run = |postgres: &Postgres, sql: &str| postgres.sql("postgres", sql).unwrap();
    run(&postgres, "CREATE TABLE tale AS SELECT 7 AS n");
    let first = postgres.pid().unwrap();
    postgres.kill().unwrap();
    assert!(!runs(first) && postgres.pid().is_none());
    assert!(postgres.sql("postgres", "SELECT 1").is_err());
    postgres.restart().unwrap();
    assert_eq!(run(&postgres, "SELECT n FROM tale"), "7");

    postgres.pause().unwrap();
    std::thread::scope(|scope| {
        let reads = scope.spawn(|| run(&postgres, "SELECT n FROM tale"));
        // Nobody can wait for nothing to happen; that it waits is seen by the state of the server.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", postgres.pid().unwrap()));
        assert!(stat.unwrap().contains(") T "));
        postgres.resume().unwrap();
        assert_eq!(reads.join().unwrap(), "7");
    });
    // A kill comes through to what stands still.
    postgres.pause().unwrap();
    postgres.restart().unwrap();
    assert_eq!(run(&postgres, "SELECT n FROM tale"), "7");
}

#[test]
fn what_was_is_brought_back() {
    let mut postgres = Postgres::start(PostgresOptions::default()).unwrap();
    let run = |postgres: &Postgres, sql: &str| postgres.sql("postgres", sql).unwrap();
    let numbers = |postgres: &Postgres| {
        let room = run(postgres, "SELECT n FROM room.tale");
        (room, run(postgres, "SELECT n FROM view.tale"))
    };
    for schema in ["room", "view"] {
        let make = format!("CREATE SCHEMA {schema}; CREATE TABLE {schema}.tale AS SELECT 1 AS n");
        run(&postgres, &make);
    }
    let (dump, snapshot) = (postgres.dump("postgres", "room"), postgres.snapshot());
    run(
        &postgres,
        "UPDATE room.tale SET n = 2; UPDATE view.tale SET n = 2",
    );
    // One of them.
    postgres.load("postgres", &dump.unwrap()).unwrap();
    assert_eq!(numbers(&postgres), ("1".into(), "2".into()));
    // Both, as often as it is asked for.
    for _ in 0..2 {
        run(&postgres, "UPDATE room.tale SET n = 3");
        postgres.return_to(snapshot.as_ref().unwrap()).unwrap();
        assert_eq!(numbers(&postgres), ("1".into(), "1".into()));
    }
}

#[test]
fn nothing_is_left_behind() {
    let postgres = Postgres::start(PostgresOptions::default()).unwrap();
    let (pid, dir) = (postgres.pid().unwrap(), postgres.dir().to_owned());
    assert!(runs(pid) && is_there(&dir));
    let shared = || std::fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let ours = |line: &&str| line.split_whitespace().nth(4) == Some(&pid.to_string());
    assert_eq!(shared().lines().filter(ours).count(), 1);
    drop(postgres);
    assert!(!runs(pid) && !is_there(&dir));
    assert_eq!(shared().lines().filter(ours).count(), 0);
}

#[test]
fn a_setting_that_is_wrong_is_told() {
    let options = PostgresOptions {
        settings: vec!["bogus_setting=1".into()],
        ..PostgresOptions::default()
    };
    let error = Postgres::start(options).unwrap_err().to_string();
    assert!(error.contains("bogus_setting"), "{error}");
}
