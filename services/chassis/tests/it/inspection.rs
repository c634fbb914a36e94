//! What a process tells of itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
    time::Duration,
};

use berth::inspection::v1::{
    self as inspection, BreakerState, BusKind, InspectRequest, InspectResponse,
    inspection_service_client::InspectionServiceClient,
};
use chassis::{
    Clock, Context, Platform,
    base::{
        clock::ManualClock,
        faults::Faults,
        time::{SignedDuration, to_proto},
    },
    client::{addresses::Addresses, peers::Peers},
    domain::{event::Cause, log_id::LogId},
    messaging::{bus::Bus, jetstream::JetStream},
    runtime::{options::Options, start::OWN_KEY},
    security::service_identity::ServiceKey,
};
use chassis_testing::noon;
use tokio::time::{interval, timeout};
use tonic::Code;

use crate::{
    broker::Prefix,
    counter::{Command, Seat, SeatId},
    platform::service_key,
    stage::{MOMENT, channel, why},
    tally::policies,
};

fn seats() -> Context {
    Context::named("room").deadlines::<Seat>()
}

/// Counts seats, and cannot take some.
fn counts() -> Context {
    Context::named("message").policies(policies(|_| true))
}

async fn take(platform: &Platform, seat: u128) {
    let command = Command::Take {
        hall: "a".into(),
        capacity: 100,
    };
    let store = &platform.contexts()[0].deps.store;
    store
        .execute::<Seat>(SeatId::from_u128(seat), command, &Cause::default())
        .await
        .unwrap();
}

/// Asks a process with a key.
async fn ask(
    process: &str,
    admin: SocketAddr,
    key: ServiceKey,
    clock: Clock,
) -> Result<InspectResponse, tonic::Status> {
    let name = chassis::runtime::start::log_of(process);
    let peers = Peers::with(clock, Faults::default(), Some(key));
    peers.add_remote(&name, &format!("http://{admin}")).unwrap();
    let mut client = InspectionServiceClient::new(peers.called_by("doctor").to(&name));
    let answer = client.inspect(InspectRequest {}).await?;
    Ok(answer.into_inner())
}

/// A context as a process of its own, by a clock that stands.
struct Process {
    platform: Platform,
    name: &'static str,
    clock: ManualClock,
}

impl Process {
    async fn start(context: Context, dir: &Path, change: impl FnOnce(&mut Options)) -> Self {
        let (name, clock) = (context.name, ManualClock::new(noon()));
        let mut options = Options::in_dir(dir);
        name.clone_into(&mut options.process);
        options.clock = Clock::Manual(clock.clone());
        options.config.trust.service_key_file = Some(key_file(dir));
        change(&mut options);
        let platform = Platform::start(vec![context], options).await.unwrap();
        Self {
            platform,
            name,
            clock,
        }
    }

    async fn tells(&self) -> InspectResponse {
        let (admin, clock) = (self.platform.admin(), Clock::Manual(self.clock.clone()));
        ask(self.name, admin, service_key(7), clock).await.unwrap()
    }

    /// Asks until the answer is as expected.
    async fn tells_that(&self, is: impl Fn(&InspectResponse) -> bool) -> InspectResponse {
        let mut looks = interval(Duration::from_millis(5));
        let asks = async {
            loop {
                looks.tick().await;
                let told = self.tells().await;
                if is(&told) {
                    return told;
                }
            }
        };
        let told = timeout(MOMENT, asks).await.ok();
        let Some(told) = told else {
            panic!("told in the end: {:#?}", self.tells().await);
        };
        told
    }
}

fn key_file(dir: &Path) -> std::path::PathBuf {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let file = dir.join("key");
    std::fs::write(&file, STANDARD.encode([7; 32])).unwrap();
    file
}

fn one(told: &InspectResponse) -> &inspection::Context {
    assert_eq!(told.contexts.len(), 1);
    &told.contexts[0]
}

fn store(told: &InspectResponse) -> inspection::Store {
    one(told).store.clone().unwrap()
}

#[tokio::test]
async fn a_process_says_who_it_is_and_how_its_contexts_are() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(seats(), dir.path(), |_| {}).await;
    for seat in 1..=3 {
        take(&process.platform, seat).await;
    }
    process.clock.turn(SignedDuration::from_secs(90));
    let told = process
        .tells_that(|told| {
            let context = one(told);
            context.leads && context.log.unwrap().handed_over == Some(3)
        })
        .await;
    let who = told.process.clone().unwrap();
    assert_eq!((who.process.as_str(), who.ready), ("room", true));
    assert_eq!(who.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(who.instance.len(), 36);
    assert_eq!(who.start_time, Some(to_proto(noon())));
    assert_eq!(
        who.current_time,
        Some(to_proto(noon() + SignedDuration::from_secs(90)))
    );
    let context = one(&told);
    assert_eq!(context.context, "room");
    let log = inspection::EventLog {
        head: 3,
        missing: 0,
        handed_over: Some(3),
        unnumbered: 0,
    };
    assert_eq!(context.log, Some(log));
    assert_eq!(context.due, Some(inspection::Due::default()));
    let store = store(&told);
    assert_eq!(store.engine(), inspection::StoreEngine::Sqlite);
    assert!(store.writable && store.error.is_empty() && store.fence_reason.is_empty());
    let bus = told.bus.unwrap();
    assert_eq!((bus.kind(), bus.connected), (BusKind::InProcess, true));
    process.platform.stop().await.unwrap();
}

#[tokio::test]
async fn a_process_is_inspected_by_services_only() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(seats(), dir.path(), |_| {}).await;
    let admin = process.platform.admin();
    let closed = (
        Code::Unauthenticated,
        "SERVICE_IDENTITY_REQUIRED".to_owned(),
    );
    let anybody = InspectionServiceClient::new(channel(admin))
        .inspect(InspectRequest {})
        .await;
    assert_eq!(why(anybody), closed);
    let clock = Clock::Manual(process.clock.clone());
    let other_key = ask("room", admin, service_key(8), clock.clone()).await;
    assert_eq!(why(other_key), closed);
    // A token for one process is not good for another.
    assert_eq!(why(ask("view", admin, service_key(7), clock).await), closed);
    let public = process.platform.public();
    let elsewhere = InspectionServiceClient::new(channel(public))
        .inspect(InspectRequest {})
        .await;
    assert_eq!(why(elsewhere), closed);
}

#[tokio::test]
async fn a_process_without_a_service_key_makes_one_for_its_operator() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(OWN_KEY);
    let mut keys = BTreeSet::new();
    for _ in 0..2 {
        let clock = Clock::Manual(ManualClock::new(noon()));
        let mut options = Options::in_dir(dir.path());
        options.clock = clock.clone();
        let platform = Platform::start(vec![seats()], options).await.unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = file.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let key = ServiceKey::read(&file).unwrap();
        let told = ask("berth", platform.admin(), key, clock).await.unwrap();
        assert_eq!(told.process.unwrap().process, "berth");
        keys.insert(std::fs::read_to_string(&file).unwrap());
        platform.stop().await.unwrap();
    }
    assert_eq!(keys.len(), 2, "each start makes a new one");

    // Who is given one makes none.
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(seats(), dir.path(), |_| {}).await;
    assert!(!dir.path().join(OWN_KEY).exists());
    process.platform.stop().await.unwrap();
}

#[tokio::test]
async fn a_process_that_is_not_ready_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(seats(), dir.path(), |_| {}).await;
    let faults = process.platform.contexts()[0].deps.faults.clone();
    faults.arm("store.commit", u32::MAX);
    let store_of = &process.platform.contexts()[0].deps.store;
    store_of.probe().await.unwrap_err();
    let told = process
        .tells_that(|told| !told.process.as_ref().unwrap().ready)
        .await;
    let reasons = told.process.clone().unwrap().not_ready_reasons;
    assert_eq!(
        reasons,
        ["the store of room: store unavailable: injected fault at store.commit"]
    );
    assert!(!store(&told).writable);
    faults.disarm("store.commit");
    let told = process
        .tells_that(|told| told.process.as_ref().unwrap().ready)
        .await;
    assert!(store(&told).writable);
    assert_eq!(told.process.unwrap().not_ready_reasons, [""; 0]);
}

#[tokio::test]
async fn consumers_dead_letters_and_peers_are_told_of() {
    let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let broker = Prefix::new();
    let producer = Process::start(seats(), there.path(), |options| {
        options.config.nats = broker.settings();
    })
    .await;
    let admin = producer.platform.admin();
    let url = format!("http://{admin}");
    let consumer = Process::start(counts(), here.path(), |options| {
        options.config.nats = broker.settings();
        options.logs = Addresses([("room".to_owned(), url.clone())].into());
    })
    .await;
    for seat in [1, 2, 3, 5] {
        take(&producer.platform, seat).await;
    }
    let told = consumer
        .tells_that(|told| {
            let heard = &one(told).consumers[0];
            // What is on disk is told of a moment before what is in memory.
            heard.cursor == Some(4) && heard.heard_head == 4 && heard.last_move_time.is_some()
        })
        .await;
    let heard = &one(&told).consumers[0];
    assert_eq!(
        (heard.consumer.as_str(), heard.producer.as_str(), heard.lag),
        ("message", "room", 0)
    );
    assert_eq!(heard.last_move_time, Some(to_proto(noon())));
    assert!(heard.last_error.is_empty() && !heard.gap);
    let letters = inspection::DeadLetters {
        consumer: "message".into(),
        producer: "room".into(),
        waiting: 3,
        parked: 0,
        oldest_event_time: Some(to_proto(noon())),
    };
    assert_eq!(one(&told).dead_letters, [letters]);
    assert_eq!(told.bus.as_ref().unwrap().kind(), BusKind::Jetstream);
    let peer = told.peers.iter().find(|peer| peer.peer == "room.log");
    let peer = peer.unwrap();
    assert_eq!((&peer.address, peer.in_process), (&url, false));
    assert_eq!(peer.breaker_state(), BreakerState::Closed);
    assert_eq!(peer.last_answer_time, Some(to_proto(noon())));
    assert_eq!(peer.last_failure_time, None);
    let own = told.peers.iter().find(|peer| peer.peer == "message");
    assert!(own.unwrap().in_process);

    // The producer goes away.
    producer.platform.stop().await.unwrap();
    // It has announced an event that did not arrive: its log is read, and cannot be.
    let bus = JetStream::connect(&broker.settings(), "room", BTreeMap::new())
        .await
        .unwrap();
    bus.connected().await.unwrap();
    bus.heartbeat(&LogId::of("room"), 5).await;
    let told = consumer
        .tells_that(|told| !one(told).consumers[0].last_error.is_empty())
        .await;
    let peer = told.peers.iter().find(|peer| peer.peer == "room.log");
    let failure = &peer.unwrap().last_failure;
    assert!(failure.contains("Connection refused"), "{failure}");
    assert!(peer.unwrap().last_failure_time.is_some());
    assert!(one(&told).consumers[0].last_error_time.is_some());
}

#[tokio::test]
async fn what_is_missing_due_or_damaged_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let deaf = Context::named("message").policies(policies(|_| false));
    let process = Process::start(deaf, dir.path(), |_| {}).await;
    let told = process.tells().await;
    assert_eq!(one(&told).missing_producers, ["room"]);
    process.platform.stop().await.unwrap();

    // Nobody wakes what is due here.
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(Context::named("room"), dir.path(), |_| {}).await;
    take(&process.platform, 1).await;
    take(&process.platform, 2).await;
    process.clock.turn(SignedDuration::from_hours(1));
    let store = &process.platform.contexts()[0].deps.store;
    let damage: Result<(), chassis::StoreError> = store
        .transact(|unit| {
            Box::pin(async move {
                let sql = "DELETE FROM log WHERE seq = 1";
                unit.conn().execute(sql, Vec::new()).await?;
                Ok(())
            })
        })
        .await;
    damage.unwrap();
    let told = process.tells().await;
    let due = one(&told).due.unwrap();
    assert_eq!(due.count, 2);
    let since = noon() + SignedDuration::from_mins(15);
    assert_eq!(due.longest_due_time, Some(to_proto(since)));
    let log = one(&told).log.unwrap();
    assert_eq!((log.head, log.missing), (2, 1));
}
