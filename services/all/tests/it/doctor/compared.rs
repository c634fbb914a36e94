//! Findings that compare several answers, provoked by a fake process that sends arbitrary answers.

use all::doctor::Code;
use berth::inspection::v1::{Bus, Consumer, Context, EventLog, Heartbeat, InspectResponse, Store};
use chassis::{
    Timestamp,
    base::time::{SignedDuration, to_proto},
};
use chassis_testing::noon;
use tonic::{Status, metadata::MetadataMap};

use super::{
    Platform, admin, codes,
    fake::{context, fake, process},
    seen,
};

fn reported(name: &str, contexts: Vec<Context>) -> InspectResponse {
    InspectResponse {
        process: Some(process(name, noon())),
        contexts,
        ..InspectResponse::default()
    }
}

/// The report on a process called `view` that sends these answers; the argument counts the requests.
async fn found(
    says: impl Fn(u32) -> InspectResponse + Send + Sync + 'static,
    flags: &[&str],
) -> all::doctor::Report {
    let platform = Platform::new();
    let running = fake(move |times| Ok(says(times))).await;
    let target = admin("view", running.address);
    platform
        .examine_only(&[&["--admin", &target], flags].concat())
        .await
}

#[tokio::test]
async fn a_process_of_another_version_is_found() {
    let platform = Platform::healthy().await;
    let now = platform.clock.now();
    let other = fake(move |_| {
        let mut other = reported("view", vec![context("view")]);
        let mut who = process("view", now);
        who.version = "0.0.9".into();
        other.process = Some(who);
        Ok(other)
    })
    .await;
    let targets = format!("{},{}", platform.targets(), admin("view", other.address));
    let report = platform.examine_only(&["--admin", &targets]).await;
    assert_eq!(
        (codes(&report), report.exit_code()),
        (vec!["VERSION_MIXED"], 39)
    );
    assert_eq!(
        report.findings[0].what,
        "0.0.9: view; 0.1.0: payment, reservation, room"
    );
}

#[tokio::test]
async fn a_disconnected_bus_and_a_missing_heartbeat_are_found() {
    let away = |_| InspectResponse {
        bus: Some(Bus {
            kind: 3,
            ..Bus::default()
        }),
        ..reported("view", vec![])
    };
    assert_eq!(codes(&found(away, &[]).await), ["BUS_DISCONNECTED"]);
    let after_heartbeat = |seconds| {
        move |_| {
            let beat = Heartbeat {
                producer: "room".into(),
                receive_time: Some(to_proto(noon() - SignedDuration::from_secs(seconds))),
                ..Heartbeat::default()
            };
            let bus = Bus {
                kind: 3,
                connected: true,
                heartbeats: vec![beat],
            };
            InspectResponse {
                bus: Some(bus),
                ..reported("view", vec![])
            }
        }
    };
    assert_eq!(codes(&found(after_heartbeat(9), &[]).await), [""; 0]);
    let report = found(after_heartbeat(11), &[]).await;
    assert_eq!(codes(&report), ["PRODUCER_SILENT"]);
    assert_eq!(report.findings[0].what, "no heartbeat of room for 11.0 s");
}

#[tokio::test]
async fn a_fence_and_events_without_a_number_are_found() {
    let fenced = |_| {
        let store = Store {
            writable: true,
            fence_reason: "reservation has applied more".into(),
            ..Store::default()
        };
        reported(
            "view",
            vec![Context {
                store: Some(store),
                ..context("view")
            }],
        )
    };
    let report = found(fenced, &[]).await;
    assert_eq!(codes(&report), ["STORE_FENCED"]);
    assert_eq!(
        seen(&report, Code::StoreFenced),
        "reservation has applied more"
    );

    let unnumbered = |counts: [i64; 2]| {
        move |times: u32| {
            let count = counts[(times as usize).min(1)];
            let log = EventLog {
                head: 5,
                published: Some(5),
                unnumbered: count,
                ..EventLog::default()
            };
            reported(
                "view",
                vec![Context {
                    log: Some(log),
                    ..context("view")
                }],
            )
        }
    };
    assert_eq!(codes(&found(unnumbered([3, 3]), &[]).await), ["RELAY_LAGS"]);
    assert_eq!(codes(&found(unnumbered([3, 0]), &[]).await), [""; 0]);
}

#[tokio::test]
async fn a_consumer_that_moves_lags_only_if_it_is_far_behind() {
    let moving = |heads: [i64; 2], cursors: [i64; 2]| {
        move |times: u32| {
            let sample = (times as usize).min(1);
            let log = EventLog {
                head: heads[sample],
                ..EventLog::default()
            };
            let consumer = Consumer {
                consumer: "view.views".into(),
                producer: "room".into(),
                cursor: Some(cursors[sample]),
                ..Consumer::default()
            };
            let room = Context {
                log: Some(log),
                ..context("room")
            };
            let view = Context {
                consumers: vec![consumer],
                ..context("view")
            };
            reported("view", vec![room, view])
        }
    };
    let report = found(moving([5000, 5000], [0, 100]), &[]).await;
    assert_eq!(
        (codes(&report), report.exit_code()),
        (vec!["CONSUMER_LAGS"], 36)
    );
    assert_eq!(
        codes(&found(moving([5000, 5000], [0, 100]), &["--max-lag", "5000"]).await),
        [""; 0]
    );
    // The consumer keeps up. A cursor that was read after the head may be greater without a regression.
    assert_eq!(
        codes(&found(moving([10, 12], [11, 12]), &[]).await),
        [""; 0]
    );
    assert_eq!(
        codes(&found(moving([10, 10], [11, 11]), &[]).await),
        ["LOG_REGRESSED"]
    );
    assert_eq!(codes(&found(moving([10, 12], [9, 13]), &[]).await), [""; 0]);
    // A new event is still being delivered.
    assert_eq!(codes(&found(moving([10, 11], [9, 10]), &[]).await), [""; 0]);
    assert_eq!(
        codes(&found(moving([10, 11], [9, 9]), &[]).await),
        ["CONSUMER_STALLED"]
    );
}

#[tokio::test]
async fn a_consumer_of_other_events_than_the_log_has_is_found() {
    let with = |digest: &'static str| {
        move |_| {
            let log = EventLog {
                head: 5,
                published: Some(5),
                digest: "a".into(),
                ..EventLog::default()
            };
            let consumer = Consumer {
                consumer: "view.views".into(),
                producer: "room".into(),
                cursor: Some(5),
                digest: digest.into(),
                ..Consumer::default()
            };
            let room = Context {
                log: Some(log),
                ..context("room")
            };
            let view = Context {
                consumers: vec![consumer],
                ..context("view")
            };
            reported("view", vec![room, view])
        }
    };
    assert_eq!(codes(&found(with("a"), &[]).await), [""; 0]);
    let report = found(with("b"), &[]).await;
    assert_eq!(codes(&report), ["LOG_REGRESSED"]);
    assert_eq!(
        seen(&report, Code::LogRegressed),
        "view.views has applied other events of room up to 5 than its log has"
    );
}

/// A lease that moves to another replica has no holder for a moment.
#[tokio::test]
async fn a_missing_leader_is_found_only_in_both_samples() {
    let leading = |leads: [bool; 2]| {
        move |times: u32| {
            let sample = (times as usize).min(1);
            // An event without a number forces a second sample.
            let log = EventLog {
                unnumbered: i64::from(times == 0),
                ..EventLog::default()
            };
            let context = Context {
                leads: leads[sample],
                log: Some(log),
                ..context("view")
            };
            reported("view", vec![context])
        }
    };
    for leads in [[true, false], [false, true], [true, true]] {
        let report = found(leading(leads), &[]).await;
        assert_eq!(codes(&report), [""; 0], "{leads:?}");
    }
    let report = found(leading([false, false]), &[]).await;
    assert_eq!(codes(&report), ["NO_LEADER"]);
}

/// If clocks differ by more than a few seconds all tokens are rejected; the `date` header of the answer shows why.
#[tokio::test]
async fn a_clock_that_is_far_off_is_found_although_the_token_is_refused() {
    let refuse = |date: &'static str| {
        move |_: u32| {
            let mut metadata = MetadataMap::new();
            metadata.insert("date", date.parse().unwrap());
            Err(Status::with_metadata(
                tonic::Code::Unauthenticated,
                "no",
                metadata,
            ))
        }
    };
    let at: Timestamp = noon();
    let platform = Platform::new();
    let date = |hours: i64| {
        let at =
            (at + SignedDuration::from_hours(hours)).to_zoned(chassis::base::time::TimeZone::UTC);
        let text = at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        &*Box::leak(text.into_boxed_str())
    };
    for (hours, expected) in [
        (0, vec!["ACCESS_REFUSED"]),
        (1, vec!["ACCESS_REFUSED", "CLOCK_DIFFERS"]),
    ] {
        let running = fake(refuse(date(hours))).await;
        let report = platform
            .examine_only(&["--admin", &admin("view", running.address)])
            .await;
        assert_eq!(codes(&report), expected, "{}", report.text());
    }
}
