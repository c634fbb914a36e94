//! A broker that goes away, and a producer that is not heard on it any more.

use all::doctor::Code;
use servers::{Nats, NatsOptions};

use super::{House, codes, seen};

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_and_a_producer_that_is_silent_are_found() {
    let mut nats = Nats::start(NatsOptions::default()).unwrap();
    let mut house = House::new();
    for ward in house.wards() {
        ward.process.options().config.nats.nats_url = Some(nats.url().into());
        ward.process.start().await;
    }
    house.register(1).await;
    house.recovers().await;

    nats.kill().unwrap();
    let report = house
        .until(|report| codes(report).contains(&"BUS_DISCONNECTED"))
        .await;
    let lost = seen(&report, Code::BusDisconnected);
    assert!(lost.contains("it cannot reach the bus"), "{lost}");
    nats.restart().unwrap();
    house.recovers().await;

    house.payments.process.crash().await;
    let targets = house.targets();
    let flags = ["--admin", &*targets, "--max-silence", "3s"];
    let report = house
        .until_only(&flags, |report| codes(report).contains(&"PRODUCER_SILENT"))
        .await;
    let silent = seen(&report, Code::ProducerSilent);
    assert!(
        silent.starts_with("nothing was heard of payment for"),
        "{silent}"
    );
    house.payments.process.start().await;
    house
        .until_only(&flags, |report| report.findings.is_empty())
        .await;
}
