//! Replicas of a context: who leads, and what their database is like.

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

use super::{House, admin, codes, seen};

#[tokio::test(flavor = "multi_thread")]
async fn two_that_lead_have_two_databases() {
    let house = House::healthy().await;
    let mut second = twin(&house, None);
    second.start().await;
    let targets = format!("{},{}", house.targets(), admin("room", second.admin()));
    let flags = ["--admin", &*targets];
    let report = house
        .until_only(&flags, |report| codes(report) == ["TWO_LEADERS"])
        .await;
    assert_eq!(
        (codes(&report), report.exit_code()),
        (vec!["TWO_LEADERS"], 13)
    );
    let both = seen(&report, Code::TwoLeaders);
    assert_eq!(both.matches("room at http://").count(), 2, "{both}");
    second.crash().await;
    house.recovers().await;
}

/// Another process for rooms.
fn twin(house: &House, database: Option<DatabaseSettings>) -> Process {
    let mut options = Options::in_dir(&house.dir.path().join("twin"));
    "room".clone_into(&mut options.process);
    options.clock = Clock::Manual(house.clock.clone());
    options.config.trust.service_key_file = Some(house.dir.path().join("key"));
    options.config.database = database.unwrap_or_default();
    let others = house_addresses(house);
    (options.peers, options.logs) = others;
    Process::of(vec!["room"], options)
}

fn house_addresses(house: &House) -> (Addresses, Addresses) {
    let of = |ward: &super::Ward| {
        (
            ward.name.to_owned(),
            ward.process.public(),
            ward.process.admin(),
        )
    };
    let others = [of(&house.reservations), of(&house.payments)];
    let peers = others
        .iter()
        .map(|(name, public, _)| (name.clone(), format!("http://{public}")));
    let logs = others
        .iter()
        .map(|(name, _, admin)| (name.clone(), format!("http://{admin}")));
    (Addresses(peers.collect()), Addresses(logs.collect()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_behind_and_a_lease_that_nobody_holds_are_found() {
    let scratch = Scratch::new().await;
    let house = House::healthy().await;
    let mut alone = twin(&house, Some(scratch.settings()));
    migrate(&scratch).await;
    alone.start().await;
    let target = admin("room", alone.admin());
    let flags = ["--admin", &*target];
    let until = async |codes_are: &[&str]| {
        house
            .until_only(&flags, |report| codes(report) == codes_are)
            .await
    };
    until(&[]).await;

    // Somebody who is gone holds the lease, for long.
    scratch
        .run("UPDATE lease SET holder = 'nobody', ends = now() + interval '1 hour'")
        .await;
    let report = until(&["NO_LEADER"]).await;
    assert_eq!(report.exit_code(), 20);
    scratch.run("UPDATE lease SET ends = now()").await;
    until(&[]).await;

    scratch.run("CREATE TABLE kept AS SELECT * FROM migration; DELETE FROM migration WHERE name LIKE '0001%'").await;
    let report = house.examine_only(&flags).await;
    assert_eq!(codes(&report)[0], "SCHEMA_BEHIND");
    assert_eq!(seen(&report, Code::SchemaBehind), "it lacks 0001_listings");
    scratch
        .run("DELETE FROM migration; INSERT INTO migration SELECT * FROM kept")
        .await;
    until(&[]).await;
    alone.crash().await;
}

/// Makes the tables of rooms.
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
