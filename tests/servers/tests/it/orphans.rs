//! An owner that is killed leaves nothing behind.

use std::{
    env,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use servers::{Nats, NatsOptions, Postgres, PostgresOptions, until};

use crate::{is_there, runs};

/// Says that this test is to be the owner.
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
    let told = BufReader::new(owner.stdout.take().unwrap()).lines();
    let told = told.map(Result::unwrap);
    let line = told.into_iter().find(|line| line.contains(" orphans: "));
    let line = line.unwrap();
    let mut words = line.split(" orphans: ").nth(1).unwrap().split(' ');
    let mut next = || words.next().unwrap().to_owned();
    let pids: [u32; 2] = [next().parse().unwrap(), next().parse().unwrap()];
    let dirs: [PathBuf; 2] = [next().into(), next().into()];
    assert!(pids.iter().all(|pid| runs(*pid)));
    assert!(dirs.iter().all(|dir| is_there(dir)));

    owner.kill().unwrap();
    owner.wait().unwrap();
    until("all is gone", Duration::from_secs(20), || {
        let gone = !pids.iter().any(|pid| runs(*pid)) && !dirs.iter().any(|dir| is_there(dir));
        Ok(gone.then_some(()))
    })
    .unwrap();
}

/// Has servers until it is killed.
#[expect(clippy::print_stdout, reason = "it is how it speaks to the test")]
fn owner() -> ! {
    let nats = Nats::start(NatsOptions::default()).unwrap();
    let postgres = Postgres::start(PostgresOptions::default()).unwrap();
    let pids = [nats.pid(), postgres.pid()].map(Option::unwrap);
    // What stands still is not left behind either.
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
