//! `InspectionService`: the state of a process, as reported on its admin port.

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
    security::service_identity::{DOCTOR, ServiceKey, admin_port_of},
};
use chassis_testing::noon;
use tokio::time::{interval, timeout};
use tonic::Code;

use crate::{
    broker::Prefix,
    counter::{Command, Seat, SeatId},
    platform::{foreign_key, identify, service_key},
    stage::{MOMENT, channel, why},
    store::mark,
    tally::policies,
};

fn seats() -> Context {
    Context::named("room").deadlines::<Seat>()
}

/// Consumes seats, and fails on odd ones.
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

/// Inspects a process with a service key.
async fn ask(
    process: &str,
    admin: SocketAddr,
    key: ServiceKey,
    clock: Clock,
) -> Result<InspectResponse, tonic::Status> {
    let name = admin_port_of(process);
    let peers = Peers::with(clock, Faults::default(), Some(key));
    peers.add_remote(&name, &format!("http://{admin}")).unwrap();
    let mut client = InspectionServiceClient::new(peers.called_by("doctor").to(&name));
    let answer = client.inspect(InspectRequest {}).await?;
    Ok(answer.into_inner())
}

/// A context in a process of its own, with a manual clock.
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
        identify(&mut options, dir);
        change(&mut options);
        let platform = Platform::start(vec![context], options).await.unwrap();
        Self {
            platform,
            name,
            clock,
        }
    }

    async fn inspect(&self) -> InspectResponse {
        let (admin, clock) = (self.platform.admin(), Clock::Manual(self.clock.clone()));
        let key = service_key("doctor");
        ask(self.name, admin, key, clock).await.unwrap()
    }

    /// Inspects until a condition holds.
    async fn inspect_until(&self, is: impl Fn(&InspectResponse) -> bool) -> InspectResponse {
        let mut looks = interval(Duration::from_millis(5));
        let asks = async {
            loop {
                looks.tick().await;
                let found = self.inspect().await;
                if is(&found) {
                    return found;
                }
            }
        };
        let found = timeout(MOMENT, asks).await.ok();
        let Some(found) = found else {
            panic!("last response: {:#?}", self.inspect().await);
        };
        found
    }
}

fn one(found: &InspectResponse) -> &inspection::Context {
    assert_eq!(found.contexts.len(), 1);
    &found.contexts[0]
}

fn store(found: &InspectResponse) -> inspection::Store {
    one(found).store.clone().unwrap()
}

#[tokio::test]
async fn a_process_describes_itself_and_its_contexts() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(seats(), dir.path(), |_| {}).await;
    for seat in 1..=3 {
        take(&process.platform, seat).await;
    }
    process.clock.turn(SignedDuration::from_secs(90));
    let found = process
        .inspect_until(|found| {
            let context = one(found);
            context.leads && context.log.as_ref().unwrap().published == Some(3)
        })
        .await;
    let who = found.process.clone().unwrap();
    assert_eq!((who.process.as_str(), who.ready), ("room", true));
    assert_eq!(who.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(who.instance.len(), 36);
    assert_eq!(who.start_time, Some(to_proto(noon())));
    assert_eq!(
        who.current_time,
        Some(to_proto(noon() + SignedDuration::from_secs(90)))
    );
    let context = one(&found);
    assert_eq!(context.context, "room");
    let log = inspection::EventLog {
        head: 3,
        missing: 0,
        published: Some(3),
        unnumbered: 0,
        epoch: 1,
        digest: context.log.as_ref().unwrap().digest.clone(),
    };
    assert_eq!(log.digest.len(), 16);
    assert_eq!(context.log, Some(log));
    assert_eq!(context.due, Some(inspection::Due::default()));
    let store = store(&found);
    assert_eq!(store.engine(), inspection::StoreEngine::Sqlite);
    assert!(store.writable && store.error.is_empty() && store.fence_reason.is_empty());
    let bus = found.bus.unwrap();
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
    let other_key = ask("room", admin, foreign_key("doctor"), clock.clone()).await;
    assert_eq!(why(other_key), closed);
    // A token for one process is not good for another.
    let elsewhere = ask("view", admin, service_key("doctor"), clock).await;
    assert_eq!(why(elsewhere), closed);
    let public = process.platform.public();
    let elsewhere = InspectionServiceClient::new(channel(public))
        .inspect(InspectRequest {})
        .await;
    assert_eq!(why(elsewhere), closed);
}

#[tokio::test]
async fn a_process_without_a_service_key_creates_one_for_its_operator() {
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
        let key = ServiceKey::read(DOCTOR, &file).unwrap();
        let found = ask("berth", platform.admin(), key, clock).await.unwrap();
        assert_eq!(found.process.unwrap().process, "berth");
        keys.insert(std::fs::read_to_string(&file).unwrap());
        platform.stop().await.unwrap();
    }
    assert_eq!(keys.len(), 2, "each start creates a new one");

    // A process with a configured key creates none.
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(seats(), dir.path(), |_| {}).await;
    assert!(!dir.path().join("data").join(OWN_KEY).exists());
    process.platform.stop().await.unwrap();
}

#[tokio::test]
async fn an_unready_process_reports_why() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(seats(), dir.path(), |_| {}).await;
    let faults = process.platform.contexts()[0].deps.faults.clone();
    faults.arm("store.commit", u32::MAX);
    let store_of = &process.platform.contexts()[0].deps.store;
    store_of.probe().await.unwrap_err();
    let found = process
        .inspect_until(|found| !found.process.as_ref().unwrap().ready)
        .await;
    let reasons = found.process.clone().unwrap().not_ready_reasons;
    assert_eq!(
        reasons,
        ["the store of room: store unavailable: injected fault at store.commit"]
    );
    assert!(!store(&found).writable);
    faults.disarm("store.commit");
    // One response may be from the moment of the change: its parts are read one after the other.
    let found = process
        .inspect_until(|found| found.process.as_ref().unwrap().ready && store(found).writable)
        .await;
    assert_eq!(found.process.unwrap().not_ready_reasons, [""; 0]);
}

#[tokio::test]
async fn consumers_dead_letters_and_peers_are_reported() {
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
    let found = consumer
        .inspect_until(|found| {
            let described = &one(found).consumers[0];
            // The stored cursor changes a moment before the values in memory.
            described.cursor == Some(4)
                && described.high_water_mark == 4
                && described.last_move_time.is_some()
        })
        .await;
    let described = &one(&found).consumers[0];
    assert_eq!(
        (
            described.consumer.as_str(),
            described.producer.as_str(),
            described.lag
        ),
        ("message", "room", 0)
    );
    assert_eq!(described.last_move_time, Some(to_proto(noon())));
    assert!(described.last_error.is_empty() && !described.gap);
    let letters = inspection::DeadLetters {
        consumer: "message".into(),
        producer: "room".into(),
        waiting: 3,
        parked: 0,
        oldest_event_time: Some(to_proto(noon())),
    };
    assert_eq!(one(&found).dead_letters, [letters]);
    assert_eq!(found.bus.as_ref().unwrap().kind(), BusKind::Jetstream);
    let peer = found.peers.iter().find(|peer| peer.peer == "room.log");
    let peer = peer.unwrap();
    assert_eq!((&peer.address, peer.in_process), (&url, false));
    assert_eq!(peer.breaker_state(), BreakerState::Closed);
    assert_eq!(peer.last_answer_time, Some(to_proto(noon())));
    assert_eq!(peer.last_failure_time, None);
    let own = found.peers.iter().find(|peer| peer.peer == "message");
    assert!(own.unwrap().in_process);

    // The producer stops.
    producer.platform.stop().await.unwrap();
    // An announced event does not arrive, and the log cannot be read.
    let bus = JetStream::connect(&broker.settings(), "room", BTreeMap::new())
        .await
        .unwrap();
    bus.await_connection().await.unwrap();
    bus.heartbeat(&LogId::of("room"), mark(5)).await;
    let found = consumer
        .inspect_until(|found| !one(found).consumers[0].last_error.is_empty())
        .await;
    let peer = found.peers.iter().find(|peer| peer.peer == "room.log");
    let failure = &peer.unwrap().last_failure;
    assert!(failure.contains("Connection refused"), "{failure}");
    assert!(peer.unwrap().last_failure_time.is_some());
    assert!(one(&found).consumers[0].last_error_time.is_some());
}

#[tokio::test]
async fn missing_logs_due_aggregates_and_damage_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    let deaf = Context::named("message").policies(policies(|_| false));
    let process = Process::start(deaf, dir.path(), |_| {}).await;
    let found = process.inspect().await;
    assert_eq!(one(&found).missing_producers, ["room"]);
    process.platform.stop().await.unwrap();

    // This context does not handle deadlines.
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
    let found = process.inspect().await;
    let due = one(&found).due.unwrap();
    assert_eq!(due.count, 2);
    let since = noon() + SignedDuration::from_mins(15);
    assert_eq!(due.longest_due_time, Some(to_proto(since)));
    let log = one(&found).log.as_ref().unwrap();
    assert_eq!((log.head, log.missing), (2, 1));
}
