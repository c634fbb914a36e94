//! The world of a story: a platform in this process behind its real port, a clock that is turned by hand, and ways to
//! break things.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use berth::{
    common::v1::Role,
    google::r#type::{Date, Money},
    message::v1::MessageWritten,
    offer::v1::{DateRange, Offer, Period, TimeRange, Unit, period},
    room::v1::{RegisterRoomRequest, Room},
    view::v1::RebuildRequest,
};
use chassis::{
    Platform, Store, args,
    bus::Bus,
    clock::{Clock, ManualClock},
    event::Recorded,
    faults::Faults,
    platform::{Failed, Options},
    settings::Settings,
    store::DeadLetter,
    time::{self, SignedDuration, Timestamp},
};
use prost::Message;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

use crate::{
    history::{Books, History},
    invariants,
    people::{Line, PASSWORD, Person},
};

/// When stories begin: a Monday, noon in UTC.
pub const BEGIN: &str = "2027-03-01T12:00:00Z";

/// Address of the operator.
pub const ADMIN: &str = "admin@stories.example";

/// The world of one story.
#[derive(Debug)]
pub struct World {
    platform: Option<Platform>,
    dir: TempDir,
    line: Line,
    /// The clock of the platform.
    pub clock: ManualClock,
    /// What is broken.
    pub faults: Faults,
    flags: Vec<String>,
    bus: Option<Arc<dyn Bus>>,
    people: Mutex<Vec<Person>>,
    ids: AtomicU64,
}

impl World {
    /// A new world with nobody in it but the operator.
    pub async fn start() -> Self {
        Self::with_flags(&[]).await
    }

    /// A new world whose platform is given flags.
    pub async fn with_flags(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self::of(dir, BEGIN.parse().expect("a time"), flags, None).await
    }

    /// A new world whose news are carried by a bus.
    pub async fn on_bus(bus: Arc<dyn Bus>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self::of(dir, BEGIN.parse().expect("a time"), &[], Some(bus)).await
    }

    /// The world as a platform has left it in a directory, seen at a time.
    pub async fn found(dir: TempDir, at: Timestamp) -> Self {
        Self::of(dir, at, &[], None).await
    }

    async fn of(dir: TempDir, at: Timestamp, flags: &[&str], bus: Option<Arc<dyn Bus>>) -> Self {
        let clock = ManualClock::new(at);
        let faults = Faults::default();
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let options = options(dir.path(), &clock, &faults, &flags, bus.clone());
        let platform = all::start(options).await.expect("starts");
        Self {
            line: Line::to(connect(&platform)),
            platform: Some(platform),
            dir,
            clock,
            faults,
            flags,
            bus,
            people: Mutex::default(),
            ids: AtomicU64::new(1),
        }
    }

    /// The platform dies without warning and starts again on what is on disk.
    pub async fn crash_and_restart(&mut self) {
        self.crash().await;
        self.restart().await;
    }

    /// The platform dies without warning.
    pub async fn crash(&mut self) {
        if let Some(platform) = self.platform.take() {
            platform.crash().await;
        }
    }

    /// It starts again on what is on disk.
    pub async fn restart(&mut self) {
        let (dir, bus) = (self.dir.path(), self.bus.clone());
        let options = options(dir, &self.clock, &self.faults, &self.flags, bus);
        let platform = all::start(options).await.expect("starts");
        self.line.turn_to(connect(&platform));
        self.platform = Some(platform);
    }

    /// Waits until the platform ends by itself.
    pub async fn ended(&mut self) -> Result<(), Failed> {
        let platform = self.platform.as_mut().expect("a running platform");
        platform.ended().await
    }

    /// The running platform.
    pub fn platform(&self) -> &Platform {
        self.platform.as_ref().expect("a running platform")
    }

    /// A connection to the public port.
    pub fn channel(&self) -> Channel {
        self.line.channel()
    }

    /// An id that nobody else has in this world.
    pub fn id(&self) -> String {
        let n = self.ids.fetch_add(1, Ordering::SeqCst);
        format!("{n:08x}-0000-4000-8000-{n:012x}")
    }

    /// Somebody who joins with roles.
    pub async fn person(&self, roles: &[Role]) -> Person {
        let person = Person::join(&self.line, self.id(), roles)
            .await
            .expect("joins");
        self.people().push(person.clone());
        person
    }

    /// Somebody who offers rooms.
    pub async fn host(&self) -> Person {
        self.person(&[Role::Host]).await
    }

    /// Somebody who books them.
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
        registered.into_inner().room.expect("a room")
    }

    /// Turns the clock, waits until what became due is done, and has everybody sign in again.
    pub async fn advance(&self, by: SignedDuration) {
        self.clock.turn(by);
        self.quiet().await;
        let people: Vec<Person> = self.people().clone();
        for person in people {
            person.sign_in_again().await.expect("signs in again");
        }
    }

    /// Turns the clock by hours.
    pub async fn advance_hours(&self, hours: i64) {
        self.advance(SignedDuration::from_hours(hours)).await;
    }

    /// Turns the clock by minutes.
    pub async fn advance_minutes(&self, minutes: i64) {
        self.advance(SignedDuration::from_mins(minutes)).await;
    }

    /// Waits until all is done that can be done now.
    pub async fn quiet(&self) {
        self.platform().quiet().await.expect("comes to rest");
    }

    /// Waits until all is done that can be done without a context.
    pub async fn quiet_without(&self, context: &str) {
        let others = async || {
            let mut names = self
                .platform()
                .sites()
                .iter()
                .map(|site| site.context.name)
                .filter(|name| *name != context);
            loop {
                match names.next() {
                    Some(name) if self.is_busy(name).await => return false,
                    Some(_) => {}
                    None => return true,
                }
            }
        };
        eventually(others).await;
    }

    /// Whether a context has something left to do now.
    pub async fn is_busy(&self, context: &str) -> bool {
        let site = self.platform().site(context).expect("a context");
        site.busy().await.expect("looks").is_some()
    }

    /// A context neither answers other contexts nor hears them.
    pub fn down(&self, context: &str) {
        for point in points(context) {
            self.faults.arm(point, u32::MAX);
        }
    }

    /// It does again, and so long time has passed that nobody holds its absence against it.
    pub async fn up(&self, context: &str) {
        for point in points(context) {
            self.faults.disarm(&point);
        }
        self.clock.turn(SignedDuration::from_secs(5));
        tokio::task::yield_now().await;
    }

    /// The store of a context.
    pub fn store(&self, context: &str) -> &Store {
        &self.platform().site(context).expect("a context").deps.store
    }

    /// The whole log of a context.
    pub async fn log(&self, context: &str) -> Vec<Recorded> {
        let store = self.store(context);
        let mut log: Vec<Recorded> = Vec::new();
        loop {
            let after = log.last().map_or(0, |last| last.seq);
            let page = store.log_after(0, after, 1000).await.expect("reads");
            if page.is_empty() {
                return log;
            }
            log.extend(page);
        }
    }

    /// Everything that was recorded.
    pub async fn history(&self) -> History {
        let mut history = History::default();
        history
            .read_reservations(&self.log("reservation").await)
            .expect("decodes");
        history
            .read_payments(&self.log("payment").await)
            .expect("decodes");
        history.capacities = capacities(&self.log("room").await);
        history.claims = self.store("reservation").claims().await.expect("reads");
        let written = self.log("message").await.into_iter();
        for written in written.filter(|event| event.event_type.ends_with(".MessageWritten")) {
            let message = MessageWritten::decode(written.data)
                .expect("decodes")
                .message
                .unwrap_or_default();
            let event = format!("{}/{}", message.event_type, message.reservation_id);
            history.messages.push((event, message.recipient_id));
        }
        history.provider = self.provider().await;
        history
    }

    /// The books of the simulated payment provider, which no log tells of.
    async fn provider(&self) -> BTreeMap<String, Books> {
        let sql = "SELECT id, state FROM aggregate WHERE kind = 'simulated-provider'";
        let rows = self.store("payment").read(|conn| conn.query(sql, args![]));
        let rows = rows.await.expect("reads");
        let books = rows.iter().map(|row| {
            let state = row.text(1).expect("a state");
            let books = serde_json::from_str(state).expect("books");
            (row.text(0).expect("an id").to_owned(), books)
        });
        books.collect()
    }

    /// Comes to rest and checks every invariant, and that nothing is left among the dead letters.
    pub async fn check(&self) {
        self.quiet().await;
        let mut history = self.history().await;
        history.view_differs = !self.rebuilds_equal().await;
        let broken = invariants::check(&history);
        assert!(broken.is_empty(), "{broken:#?}");
        for site in self.platform().sites() {
            let letters = self.dead_letters(site.context.name).await;
            assert!(
                letters.is_empty(),
                "dead letters of {}: {letters:#?}",
                site.context.name
            );
        }
    }

    /// What a context could not consume.
    pub async fn dead_letters(&self, context: &str) -> Vec<DeadLetter> {
        let store = self.store(context);
        let first = (String::new(), String::new(), 0);
        store.dead_letters(first, 1000).await.expect("reads")
    }

    /// Whether the view equals the one that is built anew from the logs.
    async fn rebuilds_equal(&self) -> bool {
        let admin = self.admin().await;
        let rebuilt = admin.views().rebuild(RebuildRequest {}).await;
        rebuilt.expect("rebuilds").into_inner().equal
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

fn options(
    dir: &Path,
    clock: &ManualClock,
    faults: &Faults,
    flags: &[String],
    bus: Option<Arc<dyn Bus>>,
) -> Options {
    let contexts = all::contexts();
    let types: Vec<_> = contexts
        .iter()
        .flat_map(|context| context.settings.clone())
        .collect();
    let command = types
        .iter()
        .fold(clap::Command::new("world"), |command, settings| {
            settings.augment(command)
        });
    let operator = [
        "world",
        "--admin-email",
        ADMIN,
        "--admin-password",
        PASSWORD,
    ]
    .map(str::to_owned);
    let matches = command
        .try_get_matches_from(operator.iter().chain(flags))
        .expect("flags");
    let mut options = Options::in_dir(dir);
    options.settings = Settings::read(&types, &matches).expect("settings");
    options.clock = Clock::Manual(clock.clone());
    options.faults = faults.clone();
    options.bus = bus;
    options
}

fn connect(platform: &Platform) -> Channel {
    let address = format!("http://{}", platform.public());
    Endpoint::from_shared(address)
        .expect("an address")
        .tcp_nodelay(true)
        .connect_lazy()
}

/// The wrapper of the events that carry an offer as their second field.
#[derive(Clone, PartialEq, prost::Message)]
struct WithOffer {
    #[prost(message, optional, tag = "2")]
    offer: Option<Offer>,
}

fn capacities(log: &[Recorded]) -> BTreeMap<String, i32> {
    let mut capacities = BTreeMap::new();
    let terms = ["RoomRegistered", "RoomModified", "RoomDeleted"];
    for event in log
        .iter()
        .filter(|event| terms.iter().any(|name| event.event_type.ends_with(name)))
    {
        if let Some(offer) = WithOffer::decode(event.data.clone())
            .expect("decodes")
            .offer
        {
            let capacity = capacities.entry(offer.offer_id).or_insert(0);
            *capacity = offer.capacity.max(*capacity);
        }
    }
    capacities
}

/// Euros.
pub fn eur(units: i64) -> Option<Money> {
    Some(Money {
        currency_code: "EUR".into(),
        units,
        nanos: 0,
    })
}

/// From the first of two dates to the second.
pub fn nights(start: &str, end: &str) -> Period {
    let date = |text: &str| {
        let date: chassis::time::Date = text.parse().expect("a date");
        time::date_to_proto(date)
    };
    let dates: (Date, Date) = (date(start), date(end));
    let dates = DateRange {
        start_date: Some(dates.0),
        end_date: Some(dates.1),
    };
    Period {
        kind: Some(period::Kind::Dates(dates)),
    }
}

/// From the first of two instants to the second.
pub fn hours(start: &str, end: &str) -> Period {
    let instant = |text: &str| {
        let at: Timestamp = text.parse().expect("a time");
        Some(time::to_proto(at))
    };
    let times = TimeRange {
        start_time: instant(start),
        end_time: instant(end),
    };
    Period {
        kind: Some(period::Kind::Times(times)),
    }
}

/// Waits until something holds that comes about by itself; gives up loudly.
pub async fn eventually(holds: impl AsyncFn() -> bool) {
    let patience = std::time::Duration::from_secs(20);
    let wait = async {
        let mut look = tokio::time::interval(std::time::Duration::from_millis(10));
        while !holds().await {
            look.tick().await;
        }
    };
    tokio::time::timeout(patience, wait)
        .await
        .expect("comes about");
}
