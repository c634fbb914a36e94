//! The findings of the doctor: each one is provoked, and disappears when its remedy is applied.

mod binary;
mod broker;
mod compared;
mod fake;
mod golden;
mod hostile;
mod process;
mod replicas;
mod work;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use all::doctor::{self, Code, Report};
use berth::{
    common::v1::Role,
    google::r#type::Money,
    offer::v1::Unit,
    room::v1::{RegisterRoomRequest, Room, room_service_client::RoomServiceClient},
};
use chassis::{
    Caller, Clock, MemberId, Store, StoreError,
    base::{clock::ManualClock, faults::Faults, time::SignedDuration},
    client::addresses::Addresses,
    runtime::options::Options,
    security::service_identity::{self, DOCTOR, PUBLIC_KEYS},
};
use chassis_testing::{noon, scratch_broker::ScratchBroker};
use clap::{Args, FromArgMatches};
use stories::world::{Process, eventually};
use tonic::Request;

/// Three contexts that need no other context, each in a process of its own.
struct Platform {
    rooms: Node,
    reservations: Node,
    payments: Node,
    clock: ManualClock,
    dir: tempfile::TempDir,
    broker: ScratchBroker,
}

/// A process with its clock and the faults injected into it.
struct Node {
    name: &'static str,
    process: Process,
    faults: Faults,
    clock: ManualClock,
}

impl Node {
    fn store(&self) -> &Store {
        &self.process.runtimes()[0].deps.store
    }

    fn admin(&self) -> String {
        admin(self.name, self.process.admin())
    }

    /// Runs a statement in its store.
    async fn run(&self, sql: &'static str) {
        run(self.store(), sql).await;
    }

    /// The file of its database.
    fn database(&mut self) -> PathBuf {
        let dir = self.process.options().config.data_dir.clone();
        dir.join(format!("{}.db", self.name))
    }
}

/// Runs a statement in a store.
async fn run(store: &Store, sql: &'static str) {
    let done: Result<(), StoreError> = store
        .transact(move |unit| {
            Box::pin(async move {
                unit.conn().execute(sql, Vec::new()).await?;
                Ok(())
            })
        })
        .await;
    done.unwrap();
}

/// A value of `--admin`.
fn admin(name: &str, address: SocketAddr) -> String {
    format!("{name}=http://{address}")
}

impl Platform {
    /// No process runs yet.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let services = ["room", "reservation", "payment", DOCTOR];
        service_identity::provision(dir.path(), services).unwrap();
        let clock = ManualClock::new(noon());
        let broker = ScratchBroker::new();
        let node = |name: &'static str| {
            let (faults, clock) = (Faults::default(), ManualClock::new(noon()));
            let mut options = Options::in_dir(&dir.path().join(name));
            name.clone_into(&mut options.process);
            options.clock = Clock::Manual(clock.clone());
            options.faults = faults.clone();
            identify(&mut options, dir.path());
            options.config.nats = broker.settings();
            Node {
                name,
                process: Process::of(vec![name], options),
                faults,
                clock,
            }
        };
        let mut platform = Self {
            rooms: node("room"),
            reservations: node("reservation"),
            payments: node("payment"),
            clock,
            dir,
            broker,
        };
        let addresses = |of: fn(&Process) -> SocketAddr| {
            let nodes = [&platform.rooms, &platform.reservations, &platform.payments];
            nodes.map(|node| {
                (
                    node.name.to_owned(),
                    format!("http://{}", of(&node.process)),
                )
            })
        };
        let (peers, logs) = (addresses(Process::public), addresses(Process::admin));
        for node in platform.nodes() {
            let others = |all: &[(String, String)]| {
                let others = all.iter().filter(|(name, _)| name != node.name);
                Addresses(others.cloned().collect())
            };
            let (peers, logs) = (others(&peers), others(&logs));
            let options = node.process.options();
            (options.peers, options.logs) = (peers, logs);
        }
        platform
    }

    fn nodes(&mut self) -> [&mut Node; 3] {
        [&mut self.rooms, &mut self.reservations, &mut self.payments]
    }

    /// Advances every clock.
    fn turn(&self, seconds: i64) {
        let nodes = [&self.rooms, &self.reservations, &self.payments];
        let clocks = nodes.map(|node| &node.clock);
        for clock in clocks.into_iter().chain([&self.clock]) {
            clock.turn(SignedDuration::from_secs(seconds));
        }
    }

    /// All processes run, and there are no findings.
    async fn healthy() -> Self {
        let mut platform = Self::new();
        for node in platform.nodes() {
            node.process.start().await;
        }
        platform.recovers().await;
        platform
    }

    fn targets(&self) -> String {
        [&self.rooms, &self.reservations, &self.payments]
            .map(Node::admin)
            .join(",")
    }

    /// Examines all processes by the clock of the platform.
    async fn examine(&self, flags: &[&str]) -> Report {
        let targets = self.targets();
        let flags = [&["--admin", &targets], flags].concat();
        self.examine_only(&flags).await
    }

    async fn examine_only(&self, flags: &[&str]) -> Report {
        let key = self.dir.path().join("doctor.key").display().to_string();
        let flags = [&["--service-key-file", &key], flags].concat();
        let clock = Clock::Manual(self.clock.clone());
        settings(&flags).examine(clock).await.unwrap()
    }

    /// Examines until a code is found, and returns the report.
    async fn shows(&self, code: Code) -> Report {
        self.until(|report| codes(report).contains(&code.name()))
            .await
    }

    /// Examines until there are no findings.
    async fn recovers(&self) {
        self.until(|report| report.findings.is_empty()).await;
    }

    /// Examines until the report is as expected.
    async fn until(&self, expected: impl Fn(&Report) -> bool) -> Report {
        let targets = self.targets();
        self.until_only(&["--admin", &targets], expected).await
    }

    async fn until_only(&self, flags: &[&str], expected: impl Fn(&Report) -> bool) -> Report {
        let last = Mutex::new(None);
        eventually(async || {
            let report = self.examine_only(flags).await;
            let done = expected(&report);
            if !done {
                // A breaker that opened while another process was down lets a call through after a second.
                self.turn(1);
            }
            *last.lock().unwrap() = Some(report);
            done
        })
        .await;
        last.into_inner().unwrap().unwrap()
    }

    /// Registers a room, which publishes an event that `reservation` consumes.
    async fn register(&self, number: u128) {
        register(&self.rooms, number).await;
    }
}

/// Gives a process the service keys in a directory.
fn identify(options: &mut Options, dir: &Path) {
    let key = dir.join(format!("{}.key", options.process));
    options.config.trust.service_key_file = Some(key);
    options.config.trust.service_keys = Some(dir.join(PUBLIC_KEYS));
}

async fn register(rooms: &Node, number: u128) {
    let site = &rooms.process.runtimes()[0];
    let routes = site.context.make_routes(&site.deps);
    let host = MemberId::from_u128(7);
    let room = Room {
        room_id: uuid(number),
        host_id: host.to_string(),
        title: "A room".into(),
        unit: Unit::Night.into(),
        max_persons: 2,
        units: 1,
        price: Some(Money {
            currency_code: "EUR".into(),
            units: 80,
            nanos: 0,
        }),
        time_zone: "Europe/Paris".into(),
        ..Room::default()
    };
    let mut request = Request::new(RegisterRoomRequest { room: Some(room) });
    let caller = Caller::person(host, &[Role::Host]);
    request.extensions_mut().insert(caller);
    let mut client = RoomServiceClient::new(routes.prepare());
    client.register_room(request).await.unwrap();
}

fn uuid(number: u128) -> String {
    MemberId::from_u128(number).to_string()
}

/// The settings of the doctor, with a short pause: nothing is slow here.
fn settings(flags: &[&str]) -> doctor::Settings {
    let command = doctor::Settings::augment_args(clap::Command::new("doctor"));
    let command = command.mut_args(|flag| flag.env(None::<&str>));
    let mut words = vec!["doctor"];
    if !flags.contains(&"--pause") {
        words.extend(["--pause", "400ms"]);
    }
    let matches = command
        .try_get_matches_from(words.iter().chain(flags))
        .unwrap();
    doctor::Settings::from_arg_matches(&matches).unwrap()
}

/// The codes of the findings, the worst first.
fn codes(report: &Report) -> Vec<&'static str> {
    let codes = report.findings.iter().map(|finding| finding.code.name());
    let mut codes: Vec<_> = codes.collect();
    codes.dedup();
    codes
}

/// The details of all findings with a code.
fn seen(report: &Report, code: Code) -> String {
    let findings = report.findings.iter();
    let of_code = findings.filter(|finding| finding.code == code);
    let seen: Vec<&str> = of_code.map(|finding| &*finding.what).collect();
    seen.join("\n")
}

/// An upper limit for an examination in which no process answers.
const BOUND: Duration = Duration::from_secs(6);
