//! Processes that are down, hang, have another identity, are not ready or lack the address of another one.

use all::doctor::Code;
use chassis::{base::time::SignedDuration, client::addresses::Addresses};
use tokio::{net::TcpListener, time::timeout};

use super::{BOUND, Platform, codes, seen, settings};

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_process_is_named_and_its_peers_report_it() {
    let mut platform = Platform::healthy().await;
    platform.payments.process.crash().await;
    platform.turn(1);
    let report = platform.examine(&[]).await;
    assert_eq!(codes(&report)[0], "PROCESS_UNREACHABLE");
    assert_eq!(report.exit_code(), 16);
    let dead = &report.findings[0];
    assert_eq!((&*dead.process, &*dead.context), ("payment", ""));
    assert!(dead.what.contains("Connection refused"), "{}", dead.what);
    let answers = report.answers.iter().map(|answer| answer.response.is_ok());
    assert_eq!(answers.collect::<Vec<_>>(), [true, true, false]);

    // `reservation` consumes its events: it reads its log when the heartbeats on the bus stop.
    let report = platform.shows(Code::PeerUnreachable).await;
    let lost = seen(&report, Code::PeerUnreachable);
    assert!(lost.contains("payment.log at http://127.0.0.1:"), "{lost}");
    let report = platform.shows(Code::BreakerOpen).await;
    let open = seen(&report, Code::BreakerOpen);
    assert!(open.contains("calls to payment.log are blocked"), "{open}");

    platform.payments.process.start().await;
    platform.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_process_does_not_delay_the_report() {
    let platform = Platform::healthy().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hangs = super::admin("view", silent.local_addr().unwrap());
    let targets = format!("{},{hangs}", platform.targets());
    let flags = ["--admin", &*targets];
    let report = timeout(BOUND, platform.examine_only(&flags)).await.unwrap();
    assert_eq!(codes(&report), ["PROCESS_UNREACHABLE"]);
    assert_eq!(
        seen(&report, Code::ProcessUnreachable),
        "no answer within 2s"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_or_missing_service_key_is_reported() {
    let platform = Platform::healthy().await;
    let targets = platform.targets();
    let other = platform.dir.path().join("other");
    std::fs::write(&other, "QW5vdGhlciBrZXkgb2YgdGhpcnR5LXR3byBieXRlcyE=").unwrap();
    let clock = || chassis::Clock::Manual(platform.clock.clone());
    let flags = [
        "--admin",
        &targets,
        "--service-key-file",
        &other.display().to_string(),
    ];
    let report = settings(&flags).examine(clock()).await.unwrap();
    assert_eq!(codes(&report)[0], "ACCESS_REFUSED");
    assert_eq!(report.exit_code(), 17);
    // Without any key.
    let flags = ["--admin", &targets, "--data-dir", "/nowhere"];
    let report = settings(&flags).examine(clock()).await.unwrap();
    let refused = seen(&report, Code::AccessRefused);
    assert!(
        refused.contains("no key of the doctor was found"),
        "{refused}"
    );
    // An invalid key is an error.
    std::fs::write(&other, "no key").unwrap();
    let flags = ["--service-key-file", &other.display().to_string()];
    assert!(settings(&flags).examine(clock()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_port_or_process_is_not_mistaken_for_the_expected_one() {
    let platform = Platform::healthy().await;
    // The public port of the right process.
    let public = super::admin("room", platform.rooms.process.public());
    let report = platform.examine_only(&["--admin", &public]).await;
    assert_eq!(codes(&report)[0], "ACCESS_REFUSED");
    // Another process rejects a token that was issued for the expected one.
    let other = super::admin("room", platform.payments.process.admin());
    let report = platform.examine_only(&["--admin", &other]).await;
    assert_eq!(codes(&report)[0], "ACCESS_REFUSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_store_makes_its_process_unready() {
    let platform = Platform::healthy().await;
    platform.rooms.faults.arm("store.commit", u32::MAX);
    platform.rooms.store().probe().await.unwrap_err();
    let report = platform.shows(Code::NotReady).await;
    assert_eq!(codes(&report), ["STORE_FAILING", "NOT_READY"]);
    assert_eq!(report.exit_code(), 14);
    let why = seen(&report, Code::NotReady);
    assert!(
        why.contains("the store of room: store unavailable"),
        "{why}"
    );
    platform.rooms.faults.disarm("store.commit");
    platform.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_address_is_not_configured_is_found() {
    let mut platform = Platform::new();
    let logs = platform.reservations.process.options().logs.clone();
    let without = logs.0.iter().filter(|(name, _)| *name != "room");
    let without = Addresses(
        without
            .map(|(name, at)| (name.clone(), at.clone()))
            .collect(),
    );
    platform.reservations.process.options().logs = without;
    for node in platform.nodes() {
        node.process.start().await;
    }
    let report = platform.shows(Code::LogUnknown).await;
    let finding = report
        .findings
        .iter()
        .find(|finding| finding.code == Code::LogUnknown);
    let finding = finding.unwrap();
    assert_eq!(
        (&*finding.context, &*finding.producer),
        ("reservation", "room")
    );
    assert!(
        finding
            .remedy()
            .contains("`room=http://<its admin port>` to `--logs`")
    );

    // As the remedy says.
    platform.reservations.process.crash().await;
    platform.reservations.process.options().logs = logs;
    platform.reservations.process.start().await;
    platform.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_differing_clock_is_found() {
    let platform = Platform::healthy().await;
    let seconds = SignedDuration::from_secs;
    platform.rooms.clock.turn(seconds(3));
    let report = platform.examine(&[]).await;
    assert_eq!(codes(&report), ["CLOCK_DIFFERS"]);
    assert_eq!(report.findings[0].process, "room");
    assert_eq!(report.findings[0].what, "its clock is 3.0 s ahead");
    assert_eq!(
        platform
            .examine(&["--max-clock-difference", "3s"])
            .await
            .exit_code(),
        0
    );
    platform.rooms.clock.turn(seconds(-6));
    let report = platform.examine(&[]).await;
    assert_eq!(report.findings[0].what, "its clock is 3.0 s behind");
    platform.rooms.clock.turn(seconds(3));

    // Most processes agree, so the clock of this machine is wrong.
    platform.clock.turn(seconds(-4));
    let report = platform.examine(&[]).await;
    let mine = "the clock of this machine differs from most others by 4.0 s";
    assert_eq!(seen(&report, Code::ClockDiffers), mine);
    assert_eq!(report.findings[0].process, "");
    platform.clock.turn(seconds(4));
    platform.recovers().await;
}
