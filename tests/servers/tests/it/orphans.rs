//! A killed owner leaves no servers or files behind.

use std::{
    env,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use servers::{Nats, NatsOptions, Postgres, PostgresOptions, until};

use crate::{exists, runs};

/// Set in the process that owns the servers.
const OWNER: &str = "BERTH_TEST_OWNER";

#[test]
fn a_killed_owner_leaves_nothing_behind() {
    if env::var_os(OWNER).is_some() {
        owner();
    }
    let mut owner = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("orphans::a_killed_owner_leaves_nothing_behind")
        .env(OWNER, "yes")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let lines = lines.map(Result::unwrap);
    let line = lines.into_iter().find(|line| line.contains(" orphans: "));
    let line = line.unwrap();
    let mut words = line.split(" orphans: ").nth(1).unwrap().split(' ');
    let mut next = || words.next().unwrap().to_owned();
    let pids: [u32; 2] = [next().parse().unwrap(), next().parse().unwrap()];
    let dirs: [PathBuf; 2] = [next().into(), next().into()];
    assert!(pids.iter().all(|pid| runs(*pid)));
    assert!(dirs.iter().all(|dir| exists(dir)));

    owner.kill().unwrap();
    owner.wait().unwrap();
    until(
        "all servers and files are gone",
        Duration::from_secs(20),
        || {
            let gone = !pids.iter().any(|pid| runs(*pid)) && !dirs.iter().any(|dir| exists(dir));
            Ok(gone.then_some(()))
        },
    )
    .unwrap();
}

/// Runs servers until it is killed.
#[expect(clippy::print_stdout, reason = "the test reads it")]
fn owner() -> ! {
    let nats = Nats::start(NatsOptions::default()).unwrap();
    let postgres = Postgres::start(PostgresOptions::default()).unwrap();
    let pids = [nats.pid(), postgres.pid()].map(Option::unwrap);
    // A paused server is not left behind either.
    postgres.pause().unwrap();
    println!(
        " orphans: {} {} {} {} ",
        pids[0],
        pids[1],
        nats.dir().display(),
        postgres.dir().display()
    );
    loop {
        std::thread::park();
    }
}
