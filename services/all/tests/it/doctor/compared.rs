//! What only some processes can say of themselves: told by one that says anything.

use all::doctor::Code;
use berth::inspection::v1::{Bus, Consumer, Context, EventLog, Heartbeat, InspectResponse, Store};
use chassis::{
    Timestamp,
    base::time::{SignedDuration, to_proto},
};
use chassis_testing::noon;
use tonic::{Status, metadata::MetadataMap};

use super::{
    House, admin, codes,
    fake::{context, fake, process},
    seen,
};

fn told(name: &str, contexts: Vec<Context>) -> InspectResponse {
    InspectResponse {
        process: Some(process(name, noon())),
        contexts,
        ..InspectResponse::default()
    }
}

/// What is found when a process called `view` says this, each time it is asked.
async fn found(
    says: impl Fn(u32) -> InspectResponse + Send + Sync + 'static,
    flags: &[&str],
) -> all::doctor::Report {
    let house = House::new();
    let running = fake(move |times| Ok(says(times))).await;
    let target = admin("view", running.address);
    house
        .examine_only(&[&["--admin", &target], flags].concat())
        .await
}

#[tokio::test]
async fn a_process_of_another_version_is_found() {
    let house = House::healthy().await;
    let now = house.clock.now();
    let other = fake(move |_| {
        let mut other = told("view", vec![context("view")]);
        let mut who = process("view", now);
        who.version = "0.0.9".into();
        other.process = Some(who);
        Ok(other)
    })
    .await;
    let targets = format!("{},{}", house.targets(), admin("view", other.address));
    let report = house.examine_only(&["--admin", &targets]).await;
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
async fn a_bus_that_is_away_or_brings_nothing_is_found() {
    let away = |_| InspectResponse {
        bus: Some(Bus {
            kind: 3,
            ..Bus::default()
        }),
        ..told("view", vec![])
    };
    assert_eq!(codes(&found(away, &[]).await), ["BUS_DISCONNECTED"]);
    let heard = |seconds| {
        move |_| {
            let beat = Heartbeat {
                producer: "room".into(),
                hear_time: Some(to_proto(noon() - SignedDuration::from_secs(seconds))),
                ..Heartbeat::default()
            };
            let bus = Bus {
                kind: 3,
                connected: true,
                heartbeats: vec![beat],
            };
            InspectResponse {
                bus: Some(bus),
                ..told("view", vec![])
            }
        }
    };
    assert_eq!(codes(&found(heard(9), &[]).await), [""; 0]);
    let report = found(heard(11), &[]).await;
    assert_eq!(codes(&report), ["PRODUCER_SILENT"]);
    assert_eq!(
        report.findings[0].what,
        "nothing was heard of room for 11.0 s"
    );
}

#[tokio::test]
async fn a_fence_and_events_without_a_number_are_found() {
    let fenced = |_| {
        let store = Store {
            writable: true,
            fence_reason: "reservation has seen more".into(),
            ..Store::default()
        };
        told(
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
        "reservation has seen more"
    );

    let unnumbered = |counts: [i64; 2]| {
        move |times: u32| {
            let count = counts[(times as usize).min(1)];
            let log = EventLog {
                head: 5,
                handed_over: Some(5),
                unnumbered: count,
                ..EventLog::default()
            };
            told(
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
            let look = (times as usize).min(1);
            let log = EventLog {
                head: heads[look],
                ..EventLog::default()
            };
            let consumer = Consumer {
                consumer: "view.views".into(),
                producer: "room".into(),
                cursor: Some(cursors[look]),
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
            told("view", vec![room, view])
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
    // It kept up, and the cursor that is newer than the head is no regression.
    assert_eq!(
        codes(&found(moving([10, 12], [11, 12]), &[]).await),
        [""; 0]
    );
    assert_eq!(
        codes(&found(moving([10, 10], [11, 11]), &[]).await),
        ["LOG_REGRESSED"]
    );
    assert_eq!(codes(&found(moving([10, 12], [9, 13]), &[]).await), [""; 0]);
    // What just came is on its way.
    assert_eq!(codes(&found(moving([10, 11], [9, 10]), &[]).await), [""; 0]);
    assert_eq!(
        codes(&found(moving([10, 11], [9, 9]), &[]).await),
        ["CONSUMER_STALLED"]
    );
}

/// A lease that changes hands is nobody's for a moment.
#[tokio::test]
async fn nobody_leads_only_if_nobody_does_in_both_looks() {
    let leading = |leads: [bool; 2]| {
        move |times: u32| {
            let look = (times as usize).min(1);
            // Something is on its way, so that there is a second look.
            let log = EventLog {
                unnumbered: i64::from(times == 0),
                ..EventLog::default()
            };
            let context = Context {
                leads: leads[look],
                log: Some(log),
                ..context("view")
            };
            told("view", vec![context])
        }
    };
    for leads in [[true, false], [false, true], [true, true]] {
        let report = found(leading(leads), &[]).await;
        assert_eq!(codes(&report), [""; 0], "{leads:?}");
    }
    let report = found(leading([false, false]), &[]).await;
    assert_eq!(codes(&report), ["NO_LEADER"]);
}

/// With more than a few seconds between the clocks nobody is believed; the header of HTTP tells why.
#[tokio::test]
async fn a_clock_that_is_far_off_is_told_though_the_token_is_refused() {
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
    let house = House::new();
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
        let report = house
            .examine_only(&["--admin", &admin("view", running.address)])
            .await;
        assert_eq!(codes(&report), expected, "{}", report.text());
    }
}
