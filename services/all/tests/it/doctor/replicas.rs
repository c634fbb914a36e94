//! Replicas of a context: their leases and their databases.

use std::path::Path;

use all::doctor::Code;
use chassis::{
    Clock,
    base::faults::Faults,
    client::addresses::Addresses,
    runtime::{options::Options, stores::open_store_on},
    store::DatabaseSettings,
};
use chassis_testing::Scratch;
use stories::world::Process;

use super::{Platform, admin, codes, seen};

#[tokio::test(flavor = "multi_thread")]
async fn two_leaders_with_different_databases_are_found() {
    let platform = Platform::healthy().await;
    let mut second = twin(&platform, None);
    second.start().await;
    let targets = format!("{},{}", platform.targets(), admin("room", second.admin()));
    let flags = ["--admin", &*targets];
    let report = platform
        .until_only(&flags, |report| codes(report) == ["TWO_LEADERS"])
        .await;
    assert_eq!(
        (codes(&report), report.exit_code()),
        (vec!["TWO_LEADERS"], 13)
    );
    let both = seen(&report, Code::TwoLeaders);
    assert_eq!(both.matches("room at http://").count(), 2, "{both}");
    second.crash().await;
    platform.recovers().await;
}

/// Another replica of `room`, on a database of its own.
fn twin(platform: &Platform, database: Option<DatabaseSettings>) -> Process {
    let mut options = Options::in_dir(&platform.dir.path().join("twin"));
    "room".clone_into(&mut options.process);
    options.clock = Clock::Manual(platform.clock.clone());
    super::identify(&mut options, platform.dir.path());
    options.config.database = database.unwrap_or_default();
    options.config.nats = platform.broker.settings();
    (options.peers, options.logs) = addresses(platform);
    Process::of(vec!["room"], options)
}

fn addresses(platform: &Platform) -> (Addresses, Addresses) {
    let of = |node: &super::Node| {
        (
            node.name.to_owned(),
            node.process.public(),
            node.process.admin(),
        )
    };
    let others = [of(&platform.reservations), of(&platform.payments)];
    let peers = others
        .iter()
        .map(|(name, public, _)| (name.clone(), format!("http://{public}")));
    let logs = others
        .iter()
        .map(|(name, _, admin)| (name.clone(), format!("http://{admin}")));
    (Addresses(peers.collect()), Addresses(logs.collect()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_migration_and_a_missing_leader_are_found() {
    let scratch = Scratch::new().await;
    let platform = Platform::healthy().await;
    let mut replica = twin(&platform, Some(scratch.settings()));
    migrate(&scratch).await;
    replica.start().await;
    let target = admin("room", replica.admin());
    let flags = ["--admin", &*target];
    let until = async |codes_are: &[&str]| {
        platform
            .until_only(&flags, |report| codes(report) == codes_are)
            .await
    };
    until(&[]).await;

    // A process that no longer exists holds the lease for an hour.
    scratch
        .run("UPDATE lease SET holder = 'nobody', renewal = 'last', millis = 3600000")
        .await;
    let report = until(&["NO_LEADER"]).await;
    assert_eq!(report.exit_code(), 20);
    scratch.run("DELETE FROM lease").await;
    until(&[]).await;

    scratch.run("CREATE TABLE kept AS SELECT * FROM migration; DELETE FROM migration WHERE name LIKE '0001%'").await;
    let report = platform.examine_only(&flags).await;
    assert_eq!(codes(&report)[0], "SCHEMA_BEHIND");
    assert_eq!(
        seen(&report, Code::SchemaBehind),
        "missing migrations: 0001_listings"
    );
    scratch
        .run("DELETE FROM migration; INSERT INTO migration SELECT * FROM kept")
        .await;
    until(&[]).await;
    replica.crash().await;
}

/// Creates the tables of `room`.
async fn migrate(scratch: &Scratch) {
    let contexts = all::contexts();
    let rooms = contexts.iter().find(|context| context.name == "room");
    let (clock, settings) = (Clock::default(), scratch.settings());
    let store = open_store_on(
        rooms.unwrap(),
        &settings,
        Path::new(""),
        clock,
        Faults::default(),
    );
    store.await.unwrap().migrate().await.unwrap();
}
