//! The JSON report with one finding of every code, compared with a golden file.

use std::{collections::BTreeSet, env, fs};

use all::doctor::{Answer, Code, Limits, NoAnswer, Report, diagnose};
use berth::inspection::v1::{
    Bus, Consumer, Context, DeadLetters, Due, EventLog, Heartbeat, InspectResponse, Peer, Process,
    Store,
};
use chassis::{
    Timestamp,
    base::time::{SignedDuration, to_proto},
};
use chassis_testing::noon;

use super::fake::{context, process};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/doctor.json");

fn ago(seconds: i64) -> Timestamp {
    noon() - SignedDuration::from_secs(seconds)
}

fn says(process: &str, response: Result<InspectResponse, NoAnswer>) -> Answer {
    Answer {
        process: process.into(),
        address: format!("http://{process}:9200"),
        asked: noon(),
        answered: noon(),
        response,
    }
}

fn well(name: &str, contexts: Vec<Context>) -> InspectResponse {
    InspectResponse {
        process: Some(process(name, noon())),
        contexts,
        ..InspectResponse::default()
    }
}

fn consumer(producer: &str, cursor: i64, gap: bool) -> Consumer {
    Consumer {
        consumer: "view.views".into(),
        producer: producer.into(),
        cursor: Some(cursor),
        gap,
        ..Consumer::default()
    }
}

/// A process with as many problems as possible.
fn sick(times: i64) -> InspectResponse {
    let view = Context {
        store: Some(Store {
            engine: 2,
            error: "store unavailable: connection refused".into(),
            needed_migrations: vec!["0001_views".into()],
            missing_migrations: vec!["0001_views".into()],
            ..Store::default()
        }),
        consumers: vec![
            consumer("room", 9, false),
            consumer("payment", 100 + times, false),
            consumer("reservation", 5, true),
            consumer("member", 1, false),
        ],
        missing_producers: vec!["review".into()],
        dead_letters: vec![DeadLetters {
            consumer: "view".into(),
            producer: "room".into(),
            waiting: 2,
            parked: 3,
            oldest_event_time: Some(to_proto(ago(60))),
        }],
        due: Some(Due {
            count: 4,
            longest_due_time: Some(to_proto(ago(600))),
        }),
        ..context("view")
    };
    let peers = vec![Peer {
        peer: "room".into(),
        address: "http://room:9100".into(),
        breaker_state: 3,
        last_failure_time: Some(to_proto(ago(1))),
        last_failure: "Unavailable: connection refused".into(),
        ..Peer::default()
    }];
    let beat = |producer: &str, seconds| Heartbeat {
        producer: producer.into(),
        receive_time: Some(to_proto(ago(seconds))),
        ..Heartbeat::default()
    };
    InspectResponse {
        process: Some(Process {
            ready: false,
            not_ready_reasons: vec!["the store of view: store unavailable".into()],
            version: "0.0.9".into(),
            current_time: Some(to_proto(noon())),
            ..process("view", noon())
        }),
        contexts: vec![view],
        peers,
        bus: Some(Bus {
            kind: 3,
            connected: true,
            heartbeats: vec![beat("room", 1), beat("member", 30)],
        }),
    }
}

/// A platform with every problem at once. In the second sample one consumer has made progress.
fn sample(times: i64) -> Vec<Answer> {
    let log = |head, published| EventLog {
        head,
        published: Some(published),
        ..EventLog::default()
    };
    let room = Context {
        log: Some(log(4, 4)),
        store: Some(Store {
            writable: true,
            fence_reason: "the log ends at 4, but view.views has taken events up to 9".into(),
            ..Store::default()
        }),
        ..context("room")
    };
    let payment = Context {
        log: Some(log(9000, 8999)),
        ..context("payment")
    };
    let message = Context {
        log: Some(log(7, 7)),
        leads: false,
        ..context("message")
    };
    let reservation = Context {
        log: Some(log(20, 20)),
        ..context("reservation")
    };
    let member = Context {
        log: Some(log(3, 3)),
        ..context("member")
    };
    let away = InspectResponse {
        bus: Some(Bus {
            kind: 3,
            ..Bus::default()
        }),
        process: Some(process("payment", noon() + SignedDuration::from_secs(4))),
        ..well("payment", vec![payment])
    };
    vec![
        says("room", Ok(well("room", vec![room.clone()]))),
        says("room", Ok(well("room", vec![room]))),
        says("payment", Ok(away)),
        says("message", Ok(well("message", vec![message]))),
        says("reservation", Ok(well("reservation", vec![reservation]))),
        says("member", Ok(well("member", vec![member]))),
        says("view", Ok(sick(times))),
        says(
            "car",
            Err(NoAnswer::Unreachable("no answer within 2s".into())),
        ),
        says(
            "flight",
            Err(NoAnswer::Refused("Unauthenticated: no".into(), None)),
        ),
        says("book", Err(NoAnswer::Unreadable("Unimplemented".into()))),
    ]
}

#[test]
fn the_json_report_has_every_code_and_does_not_change() {
    let limits = Limits {
        clock: SignedDuration::from_secs(2),
        lag: 1000,
        overdue: SignedDuration::from_secs(60),
        silence: SignedDuration::from_secs(10),
        recent: SignedDuration::from_secs(300),
    };
    let (first, second) = (sample(0), sample(1));
    let report = Report {
        findings: diagnose(&first, &second, &limits),
        answers: second,
    };
    let found: BTreeSet<Code> = report.findings.iter().map(|finding| finding.code).collect();
    let all: BTreeSet<Code> = Code::ALL.iter().copied().collect();
    assert_eq!(found, all, "missing: {:?}", all.difference(&found));
    assert_eq!(report.exit_code(), 10);
    let now = report.json() + "\n";
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")).unwrap();
        fs::write(FILE, &now).unwrap();
    }
    let then = fs::read_to_string(FILE).unwrap_or_default();
    assert_eq!(
        then, now,
        "record it with `UPDATE_GOLDEN=1 cargo test -p all doctor`"
    );
}
