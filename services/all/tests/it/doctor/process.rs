//! Processes that are gone, hang, are somebody else, are not ready or not told where others are.

use all::doctor::Code;
use chassis::{base::time::SignedDuration, client::addresses::Addresses};
use tokio::{net::TcpListener, time::timeout};

use super::{BOUND, House, codes, seen, settings};

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_gone_is_named_and_the_others_are_told_of() {
    let mut house = House::healthy().await;
    house.payments.process.crash().await;
    house.turn(1);
    let report = house.examine(&[]).await;
    assert_eq!(codes(&report)[0], "PROCESS_UNREACHABLE");
    assert_eq!(report.exit_code(), 16);
    let gone = &report.findings[0];
    assert_eq!((&*gone.process, &*gone.context), ("payment", ""));
    assert!(gone.what.contains("Connection refused"), "{}", gone.what);
    let answers = report.answers.iter().map(|answer| answer.said.is_ok());
    assert_eq!(answers.collect::<Vec<_>>(), [true, true, false]);

    // Who needs it says so, too.
    let report = house.shows(Code::PeerUnreachable).await;
    let lost = seen(&report, Code::PeerUnreachable);
    assert!(lost.contains("payment.log at http://127.0.0.1:"), "{lost}");
    let report = house.shows(Code::BreakerOpen).await;
    let open = seen(&report, Code::BreakerOpen);
    assert!(open.contains("calls to payment.log are not let"), "{open}");

    house.payments.process.start().await;
    house.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_hangs_is_not_waited_for() {
    let house = House::healthy().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hangs = super::admin("view", silent.local_addr().unwrap());
    let targets = format!("{},{hangs}", house.targets());
    let flags = ["--admin", &*targets];
    let report = timeout(BOUND, house.examine_only(&flags)).await.unwrap();
    assert_eq!(codes(&report), ["PROCESS_UNREACHABLE"]);
    assert_eq!(
        seen(&report, Code::ProcessUnreachable),
        "no answer within 2s"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_another_key_is_told_so() {
    let house = House::healthy().await;
    let targets = house.targets();
    let other = house.dir.path().join("other");
    std::fs::write(&other, "QW5vdGhlciBrZXkgb2YgdGhpcnR5LXR3byBieXRlcyE=").unwrap();
    let clock = || chassis::Clock::Manual(house.clock.clone());
    let flags = [
        "--admin",
        &targets,
        "--service-key-file",
        &other.display().to_string(),
    ];
    let report = settings(&flags).examine(clock()).await.unwrap();
    assert_eq!(codes(&report)[0], "ACCESS_REFUSED");
    assert_eq!(report.exit_code(), 17);
    // And who has none at all.
    let flags = ["--admin", &targets, "--data-dir", "/nowhere"];
    let report = settings(&flags).examine(clock()).await.unwrap();
    let refused = seen(&report, Code::AccessRefused);
    assert!(refused.contains("no service key was found"), "{refused}");
    // A key that is none is not asked with.
    std::fs::write(&other, "no key").unwrap();
    let flags = ["--service-key-file", &other.display().to_string()];
    assert!(settings(&flags).examine(clock()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_answers_elsewhere_is_not_taken_for_the_process() {
    let house = House::healthy().await;
    // The public port of the right process.
    let public = super::admin("room", house.rooms.process.public());
    let report = house.examine_only(&["--admin", &public]).await;
    assert_eq!(codes(&report)[0], "ACCESS_REFUSED");
    // Another process under its name does not take the token.
    let other = super::admin("room", house.payments.process.admin());
    let report = house.examine_only(&["--admin", &other]).await;
    assert_eq!(codes(&report)[0], "ACCESS_REFUSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_makes_its_process_unready() {
    let house = House::healthy().await;
    house.rooms.faults.arm("store.commit", u32::MAX);
    house.rooms.store().probe().await.unwrap_err();
    let report = house.shows(Code::NotReady).await;
    assert_eq!(codes(&report), ["STORE_FAILING", "NOT_READY"]);
    assert_eq!(report.exit_code(), 14);
    let why = seen(&report, Code::NotReady);
    assert!(
        why.contains("the store of room: store unavailable"),
        "{why}"
    );
    house.rooms.faults.disarm("store.commit");
    house.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_that_was_not_told_where_a_log_is_hears_nothing() {
    let mut house = House::new();
    let logs = house.reservations.process.options().logs.clone();
    let without = logs.0.iter().filter(|(name, _)| *name != "room");
    let without = Addresses(
        without
            .map(|(name, at)| (name.clone(), at.clone()))
            .collect(),
    );
    house.reservations.process.options().logs = without;
    for ward in house.wards() {
        ward.process.start().await;
    }
    let report = house.shows(Code::LogUnknown).await;
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
    house.reservations.process.crash().await;
    house.reservations.process.options().logs = logs;
    house.reservations.process.start().await;
    house.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_differs_is_found() {
    let house = House::healthy().await;
    let seconds = SignedDuration::from_secs;
    house.rooms.clock.turn(seconds(3));
    let report = house.examine(&[]).await;
    assert_eq!(codes(&report), ["CLOCK_DIFFERS"]);
    assert_eq!(report.findings[0].process, "room");
    assert_eq!(report.findings[0].what, "its clock is 3.0 s ahead");
    assert_eq!(
        house
            .examine(&["--max-clock-difference", "3s"])
            .await
            .exit_code(),
        0
    );
    house.rooms.clock.turn(seconds(-6));
    let report = house.examine(&[]).await;
    assert_eq!(report.findings[0].what, "its clock is 3.0 s behind");
    house.rooms.clock.turn(seconds(3));

    // Most processes agree: it is the clock of who asks.
    house.clock.turn(seconds(-4));
    let report = house.examine(&[]).await;
    let mine = "the clock of this machine differs from most by 4.0 s";
    assert_eq!(seen(&report, Code::ClockDiffers), mine);
    assert_eq!(report.findings[0].process, "");
    house.clock.turn(seconds(4));
    house.recovers().await;
}
