//! Invalid and malicious answers: the doctor neither trusts them nor fails.

use all::doctor::{Answer, Limits, Report, diagnose, needs_second_sample};
use berth::inspection::v1::{
    Bus, Consumer, Context, DeadLetters, Due, EventLog, Heartbeat, InspectResponse, Peer, Process,
    Store,
};
use chassis::base::time::SignedDuration;
use chassis_testing::noon;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use tokio::{io::AsyncWriteExt, net::TcpListener, task::JoinSet, time::timeout};

use super::{
    BOUND, Platform, admin, codes,
    fake::{fake, process},
};

const TEXTS: &[&str] = &[
    "",
    "room",
    "view",
    "view.views",
    "\u{1b}[31m",
    "a\nb",
    "'; rm -rf /",
    "\u{202e}",
    "\0",
];
const NUMBERS: &[i64] = &[i64::MIN, -1, 0, 1, 2, 1000, i64::MAX - 1, i64::MAX];

/// Generates random answers.
struct RandomAnswers(StdRng);

impl RandomAnswers {
    fn text(&mut self) -> String {
        let text = TEXTS.choose(&mut self.0).copied().unwrap();
        if self.0.random_ratio(1, 50) {
            text.repeat(10_000)
        } else {
            text.to_owned()
        }
    }

    fn number(&mut self) -> i64 {
        NUMBERS.choose(&mut self.0).copied().unwrap()
    }

    #[expect(clippy::cast_possible_truncation, reason = "any number will do")]
    fn small(&mut self) -> i32 {
        self.number() as i32
    }

    fn time(&mut self) -> Option<prost_types::Timestamp> {
        let (seconds, nanos) = (self.number(), self.small());
        self.0
            .random::<bool>()
            .then_some(prost_types::Timestamp { seconds, nanos })
    }

    fn some<T>(&mut self, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.0.random_range(0..4);
        (0..count).map(|_| one(self)).collect()
    }

    fn answer(&mut self) -> InspectResponse {
        let process = Process {
            process: "room".into(),
            instance: self.text(),
            version: self.text(),
            start_time: self.time(),
            current_time: self.time(),
            ready: self.0.random(),
            not_ready_reasons: self.some(Self::text),
        };
        InspectResponse {
            process: Some(process),
            contexts: self.some(Self::context),
            peers: self.some(|this| Peer {
                peer: this.text(),
                address: this.text(),
                in_process: this.0.random(),
                breaker_state: this.small(),
                in_flight: this.small(),
                last_answer_time: this.time(),
                last_failure_time: this.time(),
                last_failure: this.text(),
            }),
            bus: Some(Bus {
                kind: self.small(),
                connected: self.0.random(),
                heartbeats: self.some(|this| Heartbeat {
                    producer: this.text(),
                    head: this.number(),
                    receive_time: this.time(),
                }),
            }),
        }
    }

    fn context(&mut self) -> Context {
        Context {
            context: self.text(),
            store: Some(Store {
                engine: self.small(),
                writable: self.0.random(),
                error: self.text(),
                needed_migrations: self.some(Self::text),
                missing_migrations: self.some(Self::text),
                fence_reason: self.text(),
            }),
            leads: self.0.random(),
            log: Some(EventLog {
                head: self.number(),
                missing: self.small(),
                published: Some(self.number()),
                unnumbered: self.number(),
                epoch: self.number(),
                digest: self.text().into(),
            }),
            consumers: self.some(|this| Consumer {
                consumer: this.text(),
                producer: this.text(),
                cursor: Some(this.number()),
                high_water_mark: this.number(),
                lag: this.number(),
                last_move_time: this.time(),
                last_error: this.text(),
                last_error_time: this.time(),
                gap: this.0.random(),
                digest: this.text().into(),
            }),
            missing_producers: self.some(Self::text),
            dead_letters: self.some(|this| DeadLetters {
                consumer: this.text(),
                producer: this.text(),
                waiting: this.number(),
                parked: this.number(),
                oldest_event_time: this.time(),
            }),
            due: Some(Due {
                count: self.number(),
                longest_due_time: self.time(),
            }),
        }
    }

    fn sample(&mut self) -> Vec<Answer> {
        self.some(|this| Answer {
            process: "room".into(),
            address: "http://127.0.0.1:1".into(),
            asked: noon(),
            answered: noon(),
            response: Ok(this.answer()),
        })
    }
}

const LIMITS: Limits = Limits {
    clock: SignedDuration::from_secs(2),
    lag: 1000,
    overdue: SignedDuration::from_secs(60),
    silence: SignedDuration::from_secs(10),
    recent: SignedDuration::from_secs(300),
};

#[test]
fn arbitrary_answers_are_reported_in_plain_text() {
    let mut random = RandomAnswers(StdRng::seed_from_u64(1));
    for _ in 0..400 {
        let (first, mut second) = (random.sample(), random.sample());
        second.extend(first.clone());
        needs_second_sample(&first);
        let findings = diagnose(&first, &second, &LIMITS);
        for finding in &findings {
            let remedy = finding.remedy();
            assert!(!remedy.contains("rm -rf"), "{remedy}");
        }
        let report = Report {
            answers: second,
            findings,
        };
        let shown = report.text();
        let is_plain = |c: char| c == '\n' || !c.is_control() && c != '\u{202e}';
        assert!(shown.chars().all(is_plain), "{shown:?}");
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["exit_code"], report.exit_code());
    }
}

#[tokio::test]
async fn an_endless_or_inconsistent_answer_is_unreadable() {
    let platform = Platform::new();
    let says = async |answer: fn() -> InspectResponse| {
        let running = fake(move |_| Ok(answer())).await;
        platform
            .examine_only(&["--admin", &admin("room", running.address)])
            .await
    };
    let nobody = says(InspectResponse::default).await;
    assert_eq!(
        (codes(&nobody), nobody.exit_code()),
        (vec!["ANSWER_UNREADABLE"], 18)
    );
    let other = says(|| InspectResponse {
        process: Some(process("view", noon())),
        ..Default::default()
    })
    .await;
    assert_eq!(other.findings[0].what, "this is the process `view`");
    let crowd = says(|| InspectResponse {
        process: Some(process("room", noon())),
        peers: vec![Peer::default(); 5000],
        ..Default::default()
    })
    .await;
    assert_eq!(codes(&crowd), ["ANSWER_UNREADABLE"]);
    let endless = says(|| InspectResponse {
        process: Some(Process {
            version: "x".repeat(3_000_000),
            ..process("room", noon())
        }),
        ..Default::default()
    })
    .await;
    assert_eq!(codes(&endless), ["ANSWER_UNREADABLE"]);
}

#[tokio::test]
async fn another_protocol_does_not_delay_the_report() {
    let platform = Platform::new();
    let noises: [&[u8]; 4] = [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ];
    for noise in noises {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let _speaks = JoinSet::from_iter([async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                // The doctor may have closed the connection.
                let _ = stream.write_all(noise).await;
                drop(stream);
            }
        }]);
        let room = admin("room", address);
        let flags = ["--admin", &*room];
        let report = timeout(BOUND, platform.examine_only(&flags)).await.unwrap();
        assert_eq!(report.findings.len(), 1, "{}", report.text());
        assert!([16, 18].contains(&report.exit_code()), "{}", report.text());
    }
}
