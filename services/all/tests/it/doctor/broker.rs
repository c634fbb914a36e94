//! A broker that is down, and a producer whose heartbeats stop.

use all::doctor::Code;
use servers::{Nats, NatsOptions};

use super::{Platform, codes, seen};

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_broker_and_a_silent_producer_are_found() {
    let mut nats = Nats::start(NatsOptions::default()).unwrap();
    let mut platform = Platform::new();
    for node in platform.nodes() {
        node.process.options().config.nats.nats_url = Some(nats.url().into());
        node.process.start().await;
    }
    platform.register(1).await;
    platform.recovers().await;

    nats.kill().unwrap();
    let report = platform
        .until(|report| codes(report).contains(&"BUS_DISCONNECTED"))
        .await;
    let lost = seen(&report, Code::BusDisconnected);
    assert!(lost.contains("no connection to the bus"), "{lost}");
    nats.restart().unwrap();
    platform.recovers().await;

    platform.payments.process.crash().await;
    let targets = platform.targets();
    let flags = ["--admin", &*targets, "--max-silence", "3s"];
    let report = platform
        .until_only(&flags, |report| codes(report).contains(&"PRODUCER_SILENT"))
        .await;
    let silent = seen(&report, Code::ProducerSilent);
    assert!(
        silent.starts_with("no heartbeat of payment for"),
        "{silent}"
    );
    platform.payments.process.start().await;
    platform
        .until_only(&flags, |report| report.findings.is_empty())
        .await;
}
