//! The world of a story: a platform in this process with its real ports, a manual clock, and injected faults.

mod backup;
mod broker;
mod evidence;
mod gate;
mod process;
mod setup;
mod words;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use berth::{
    common::v1::Role,
    offer::v1::Unit,
    room::v1::{RegisterRoomRequest, Room},
};
use chassis::{
    Store, args,
    base::{
        clock::{Clock, ManualClock},
        faults::Faults,
        time::{SignedDuration, Timestamp},
    },
    messaging::bus::Bus,
    runtime::{context_runtime::ContextRuntime, options::Options, supervisor::Failed},
};
use futures::future::{join, join_all};
use tempfile::TempDir;
use tokio::net::TcpStream;

use self::setup::Infrastructure;
pub use self::{
    backup::Backup,
    evidence::history,
    gate::Gate,
    process::Process,
    words::{eur, eventually, hours, nights},
};
use crate::{
    mode::Mode,
    people::{Line, PASSWORD, Person},
};

/// The time at which stories begin: a Monday, noon in UTC.
pub const BEGIN: &str = "2027-03-01T12:00:00Z";

/// Address of the operator.
pub const ADMIN: &str = "admin@stories.example";

/// After this time every circuit breaker lets a call through again.
const BREAKER_OPEN: SignedDuration = SignedDuration::from_secs(5);
/// Bound for a registered room to arrive in the replica of offers.
const REPLICATION: Duration = Duration::from_secs(30);
/// Failed attempts of a consumer that are retried without the story advancing the clock.
const FIRST_RETRIES: i64 = 3;
/// How often [`chassis_testing::quiet`] may reach its own bound before a story fails: a busy machine takes longer.
const QUIET_ATTEMPTS: usize = 6;

/// The world of one story.
#[derive(Debug)]
pub struct World {
    processes: Vec<Process>,
    line: Line,
    /// The clock of the platform.
    pub clock: ManualClock,
    /// The injected faults.
    pub faults: Faults,
    people: Mutex<Vec<Person>>,
    ids: AtomicU64,
    infrastructure: Infrastructure,
    _dir: TempDir,
}

impl World {
    /// A new world with the operator as its only member.
    pub async fn start(mode: Mode) -> Self {
        Self::with_flags(mode, &[]).await
    }

    /// A new world with flags for the platform.
    pub async fn with_flags(mode: Mode, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self::of(mode, dir, BEGIN.parse().expect("a time"), flags, None).await
    }

    /// A new world with its own bus.
    pub async fn on_bus(mode: Mode, bus: Arc<dyn Bus>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self::of(mode, dir, BEGIN.parse().expect("a time"), &[], Some(bus)).await
    }

    /// A new world whose broker is unavailable until [`World::broker`] is opened.
    pub async fn without_broker(mode: Mode) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let infrastructure = Infrastructure::of(mode).await;
        infrastructure.broker().shut();
        let begin = BEGIN.parse().expect("a time");
        Self::within(infrastructure, mode, dir, begin, &[], None).await
    }

    /// A world in one process on an existing data directory, at a time.
    pub async fn found(dir: TempDir, at: Timestamp) -> Self {
        Self::of(Mode::One, dir, at, &[], None).await
    }

    async fn of(
        mode: Mode,
        dir: TempDir,
        at: Timestamp,
        flags: &[&str],
        bus: Option<Arc<dyn Bus>>,
    ) -> Self {
        Self::within(Infrastructure::of(mode).await, mode, dir, at, flags, bus).await
    }

    async fn within(
        infrastructure: Infrastructure,
        mode: Mode,
        dir: TempDir,
        at: Timestamp,
        flags: &[&str],
        bus: Option<Arc<dyn Bus>>,
    ) -> Self {
        let clock = ManualClock::new(at);
        let faults = Faults::default();
        let base = Options {
            settings: setup::settings(flags),
            clock: Clock::Manual(clock.clone()),
            faults: faults.clone(),
            bus,
            ..Options::in_dir(dir.path())
        };
        let mut world = Self {
            processes: infrastructure.processes(mode, dir.path(), &base).await,
            line: Line::default(),
            clock,
            faults,
            people: Mutex::default(),
            ids: AtomicU64::new(1),
            infrastructure,
            _dir: dir,
        };
        world.restart().await;
        world
    }

    /// Crashes every process and starts it again.
    pub async fn crash_and_restart(&mut self) {
        self.crash().await;
        self.restart().await;
    }

    /// Crashes every process.
    pub async fn crash(&mut self) {
        join_all(self.processes.iter_mut().map(Process::crash)).await;
    }

    /// Starts every process that does not run, concurrently.
    pub async fn restart(&mut self) {
        join_all(self.processes.iter_mut().map(Process::start)).await;
        self.connect().await;
        if self.infrastructure.balancer.is_some() {
            // While no replica was ready the balancer refused calls, and circuit breakers have opened.
            self.clock.turn(BREAKER_OPEN);
        }
    }

    /// Crashes the processes of a context.
    pub async fn crash_of(&mut self, context: &str) {
        join_all(self.processes_of(context).map(Process::crash)).await;
    }

    /// Starts the processes of a context that do not run, and advances the clock past open circuit breakers.
    pub async fn restart_of(&mut self, context: &str) {
        join_all(self.processes_of(context).map(Process::start)).await;
        self.recover().await;
    }

    /// Crashes the leader of a context.
    pub async fn crash_leader(&mut self, context: &str) {
        let mut processes = self.processes_of(context);
        let leader = processes.find(|process| process.leads(context));
        leader.expect("a leader").crash().await;
    }

    /// The number of replicas of a context that lead.
    pub fn leaders(&self, context: &str) -> usize {
        let processes = self.processes.iter();
        processes.filter(|process| process.leads(context)).count()
    }

    /// Waits until every request is routed to a running process, and advances the clock past open circuit breakers.
    pub async fn recover(&self) {
        self.connect().await;
        self.clock.turn(BREAKER_OPEN);
    }

    /// Starts the processes of all contexts; those of one context start last, when all others listen.
    pub async fn restart_with_last(&mut self, context: &str) {
        let last = |process: &&mut Process| process.contexts().contains(&context);
        let (last, first): (Vec<_>, Vec<_>) = self.processes.iter_mut().partition(last);
        let ports: Vec<_> = first.iter().map(|process| process.admin()).collect();
        let first = join_all(first.into_iter().map(Process::start));
        let last = async {
            let listens = async || {
                let connections = ports.iter().map(TcpStream::connect);
                join_all(connections).await.iter().all(Result::is_ok)
            };
            eventually(listens).await;
            join_all(last.into_iter().map(Process::start)).await;
        };
        join(first, last).await;
        self.connect().await;
    }

    /// Connects the people to the running processes.
    async fn connect(&self) {
        let Some(balancer) = &self.infrastructure.balancer else {
            for process in &self.processes {
                for context in process.contexts() {
                    self.line.turn(context, process.channel());
                }
            }
            return;
        };
        self.line.turn_to(process::channel(balancer.public()));
        for context in all::contexts() {
            let running = self.runtimes_of(context.name);
            let (count, patience) = (running.count(), Duration::from_mins(2));
            let ready = balancer.until_ready(context.name, count, patience).await;
            ready.expect("is ready");
        }
    }

    fn processes_of(&mut self, context: &str) -> impl Iterator<Item = &mut Process> {
        let has = move |process: &&mut Process| process.contexts().contains(&context);
        self.processes.iter_mut().filter(has)
    }

    /// Waits until the process of a context ends by itself.
    pub async fn ended(&mut self, context: &str) -> Result<(), Failed> {
        let platform = self.processes_of(context).find_map(Process::platform_mut);
        platform.expect("a running platform").ended().await
    }

    /// The address of the admin port of a running context.
    pub fn admin_port(&self, context: &str) -> SocketAddr {
        let runs = |process: &&Process| {
            process
                .sites()
                .iter()
                .any(|site| site.context.name == context)
        };
        let process = self.processes.iter().find(runs);
        process.expect("a running process").admin()
    }

    /// The gate before the database of a context.
    pub fn database(&self, context: &str) -> &Gate {
        self.infrastructure.database(context)
    }

    /// The gate before the broker.
    pub fn broker(&self) -> &Gate {
        self.infrastructure.broker()
    }

    /// The running contexts, one for each replica.
    pub fn runtimes(&self) -> impl Iterator<Item = &ContextRuntime> {
        self.processes.iter().flat_map(Process::sites)
    }

    /// The running replicas of a context.
    pub fn runtimes_of(&self, context: &str) -> impl Iterator<Item = &ContextRuntime> {
        self.runtimes()
            .filter(move |runtime| runtime.context.name == context)
    }

    /// A running context; of several replicas the first.
    pub fn runtime(&self, context: &str) -> &ContextRuntime {
        let found = self.runtimes_of(context).next();
        found.expect("a running context")
    }

    /// An id that is unique in this world.
    pub fn id(&self) -> String {
        let n = self.ids.fetch_add(1, Ordering::SeqCst);
        format!("{n:08x}-0000-4000-8000-{n:012x}")
    }

    /// A new member with roles.
    pub async fn person(&self, roles: &[Role]) -> Person {
        let person = Person::join(&self.line, self.id(), roles)
            .await
            .expect("joins");
        self.people().push(person.clone());
        person
    }

    /// A new host.
    pub async fn host(&self) -> Person {
        self.person(&[Role::Host]).await
    }

    /// A new customer.
    pub async fn customer(&self) -> Person {
        self.person(&[Role::Customer]).await
    }

    /// The operator.
    pub async fn admin(&self) -> Person {
        let signed_in = Person::sign_in(&self.line, ADMIN.into(), PASSWORD).await;
        signed_in.expect("the operator signs in").0
    }

    /// A room on offer: by the night, 80 EUR, in UTC, unless `change` says otherwise.
    pub async fn room(&self, host: &Person, change: impl FnOnce(&mut Room)) -> Room {
        let mut room = Room {
            room_id: self.id(),
            host_id: host.id.clone(),
            title: "A room".into(),
            description: "Quiet".into(),
            unit: Unit::Night.into(),
            max_persons: 2,
            units: 1,
            price: eur(80),
            time_zone: "UTC".into(),
            ..Room::default()
        };
        change(&mut room);
        let request = RegisterRoomRequest { room: Some(room) };
        let registered = host
            .rooms()
            .register_room(request)
            .await
            .expect("registers");
        let room = registered.into_inner().room.expect("a room");
        self.replicated(&room).await;
        room
    }

    /// Waits until the replica of offers in `reservation` holds a room, unless a story keeps `reservation` from consuming
    /// events. The deadline of `GetOffer` is 150 ms; on a busy machine the first call may exceed it, and without a replica
    /// the reservation would fail with `OFFER_UNAVAILABLE`.
    async fn replicated(&self, room: &Room) {
        if self.faults.is_armed("consumer.reservation.views") {
            return;
        }
        let replicated = eventually(async || {
            for runtime in self.runtimes_of("reservation") {
                let store = &runtime.deps.store;
                if store.fenced().is_some() {
                    continue;
                }
                let (id, version) = (room.room_id.clone(), room.version);
                let sql = "SELECT 1 FROM offer_replica WHERE offer_id = $1 AND version >= $2";
                let rows = store.read(move |conn| conn.query(sql, args![id, version]));
                if rows.await.is_ok_and(|rows| rows.is_empty()) {
                    return false;
                }
            }
            true
        });
        // Not an error: a story may have stopped the broker, `room` or a database.
        let _ = tokio::time::timeout(REPLICATION, replicated).await;
    }

    /// Advances the clock, waits until the platform is quiet, and renews the tokens that have expired.
    pub async fn advance(&self, by: SignedDuration) {
        self.clock.turn(by);
        self.quiet().await;
        let people: Vec<Person> = self.people().clone();
        let now = self.clock.now();
        for person in people.iter().filter(|person| !person.is_signed_in(now)) {
            person.sign_in_again().await.expect("signs in again");
        }
    }

    /// Advances the clock by hours.
    pub async fn advance_hours(&self, hours: i64) {
        self.advance(SignedDuration::from_hours(hours)).await;
    }

    /// Advances the clock by minutes.
    pub async fn advance_minutes(&self, minutes: i64) {
        self.advance(SignedDuration::from_mins(minutes)).await;
    }

    /// Waits until nothing is left to do at the present time of the clock.
    ///
    /// The clock stands still, so an event whose consumption failed once (for example after an optimistic conflict) would
    /// never be retried. The clock is therefore advanced past such retries. Events that have failed more often wait for
    /// something that the story does itself.
    pub async fn quiet(&self) {
        self.retried(FIRST_RETRIES).await;
    }

    /// Waits until nothing is left to do, and advances the clock past the retries of events that have failed at most
    /// `attempts` times.
    async fn retried(&self, attempts: i64) {
        loop {
            self.quiet_now(|_| true).await;
            let Some(next) = self.next_retry(attempts).await else {
                return;
            };
            self.clock.turn(next.duration_since(self.clock.now()));
        }
    }

    /// When the next dead letter is retried that has failed at most `attempts` times.
    async fn next_retry(&self, attempts: i64) -> Option<Timestamp> {
        let mut retries = Vec::new();
        for runtime in self.runtimes() {
            if runtime.deps.store.fenced().is_none() {
                let letters = self.dead_letters(runtime.context.name).await;
                let failed = letters
                    .into_iter()
                    .filter(|letter| !letter.parked && (1..=attempts).contains(&letter.attempts));
                retries.extend(failed.map(|letter| letter.next_attempt));
            }
        }
        let now = self.clock.now();
        retries.into_iter().filter(|retry| *retry > now).min()
    }

    /// Waits until the chosen contexts have nothing left to do, without advancing the clock.
    async fn quiet_now(&self, chosen: impl Fn(&str) -> bool) {
        let runtimes = self.runtimes();
        let chosen: Vec<ContextRuntime> = runtimes
            .filter(|runtime| chosen(runtime.context.name))
            .cloned()
            .collect();
        for _ in 1..QUIET_ATTEMPTS {
            if chassis_testing::quiet(&chosen).await.is_ok() {
                return;
            }
        }
        let quiet = chassis_testing::quiet(&chosen).await;
        quiet.expect("the platform comes to rest");
    }

    /// Waits until every context but one has nothing left to do.
    pub async fn quiet_without(&self, context: &str) {
        self.quiet_now(|name| name != context).await;
    }

    /// Waits until a fault point was passed, or until every context but those in `except` has nothing left to do.
    /// Returns whether the point was passed.
    pub async fn reached(&self, point: &str, except: &[&str]) -> bool {
        let passed = async {
            let mut polls = tokio::time::interval(Duration::from_millis(1));
            while self.faults.is_armed(point) {
                polls.tick().await;
            }
        };
        tokio::select! {
            () = passed => true,
            () = self.quiet_now(|name| !except.contains(&name)) => !self.faults.is_armed(point),
        }
    }

    /// Whether a context has work left at the present time of the clock.
    pub async fn is_busy(&self, context: &str) -> bool {
        for runtime in self.runtimes_of(context) {
            if runtime.busy().await.expect("reads").is_some() {
                return true;
            }
        }
        false
    }

    /// A context neither responds to other contexts nor consumes their events.
    pub fn down(&self, context: &str) {
        for point in points(context) {
            self.faults.arm(point, u32::MAX);
        }
    }

    /// It responds and consumes again. The clock is advanced past open circuit breakers.
    pub async fn up(&self, context: &str) {
        for point in points(context) {
            self.faults.disarm(&point);
        }
        self.clock.turn(BREAKER_OPEN);
        tokio::task::yield_now().await;
    }

    /// The store of a context.
    pub fn store(&self, context: &str) -> &Store {
        &self.runtime(context).deps.store
    }

    fn people(&self) -> std::sync::MutexGuard<'_, Vec<Person>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn points(context: &str) -> [String; 3] {
    [
        format!("peer.{context}"),
        format!("consumer.{context}"),
        format!("consumer.{context}.views"),
    ]
}
