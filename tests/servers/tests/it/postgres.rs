//! PostgreSQL.

use servers::{Postgres, PostgresOptions};

use crate::{exists, runs};

#[test]
fn commits_survive_a_kill_and_a_pause() {
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
        let query = scope.spawn(|| run(&postgres, "SELECT n FROM tale"));
        // The query waits; the process state shows that the server is paused.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", postgres.pid().unwrap()));
        assert!(stat.unwrap().contains(") T "));
        postgres.resume().unwrap();
        assert_eq!(query.join().unwrap(), "7");
    });
    // A paused server can be killed.
    postgres.pause().unwrap();
    postgres.restart().unwrap();
    assert_eq!(run(&postgres, "SELECT n FROM tale"), "7");
}

#[test]
fn a_dump_and_a_snapshot_are_restored() {
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
    // One schema.
    postgres.load("postgres", &dump.unwrap()).unwrap();
    assert_eq!(numbers(&postgres), ("1".into(), "2".into()));
    // Both schemas, repeatedly.
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
    assert!(runs(pid) && exists(&dir));
    let shared = || std::fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let ours = |line: &&str| line.split_whitespace().nth(4) == Some(&pid.to_string());
    assert_eq!(shared().lines().filter(ours).count(), 1);
    drop(postgres);
    assert!(!runs(pid) && !exists(&dir));
    assert_eq!(shared().lines().filter(ours).count(), 0);
}

#[test]
fn an_invalid_setting_is_reported() {
    let options = PostgresOptions {
        settings: vec!["bogus_setting=1".into()],
        ..PostgresOptions::default()
    };
    let error = Postgres::start(options).unwrap_err().to_string();
    assert!(error.contains("bogus_setting"), "{error}");
}
