//! Users of the platform: they send requests to its public port and never retry.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use berth::{
    common::v1::Role,
    offer::v1::{Approval, Period, Unit},
    reservation::v1::{GetReservationRequest, Reservation, ReservationStatus},
    room::v1::{ListRoomsRequest, RegisterRoomRequest, Room},
};
use futures::{StreamExt, TryStreamExt, stream};
use hdrhistogram::Histogram;
use jiff::{ToSpan, Zoned};
use stories::{
    people::{Line, PASSWORD, Person},
    world::{ADMIN, eur, nights},
};
use tokio::{task::JoinSet, time::interval};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use uuid::Uuid;

/// The nights of a room that are booked. The booking horizon is two years.
const NIGHTS: usize = 700;
/// The largest number of bookings of a customer, a few less than `MAX_RESERVATION_PER_PERSON`.
const OPEN: usize = 950;
/// The smallest number of rooms and of customers, to limit conflicts.
const FEW: usize = 20;
/// The number of concurrent registrations.
const AT_A_TIME: usize = 4;

/// The results of requests.
#[derive(Debug)]
pub struct Tally(Mutex<Counted>);

#[derive(Debug)]
struct Counted {
    done: u64,
    failed: BTreeMap<String, u64>,
    latency: Histogram<u64>,
}

impl Tally {
    fn new() -> Result<Self> {
        let latency = Histogram::new_with_bounds(1, 60_000_000, 3)?;
        Ok(Self(Mutex::new(Counted {
            done: 0,
            failed: BTreeMap::new(),
            latency,
        })))
    }

    fn note(&self, what: &str, began: Instant, ended: Result<(), Status>) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        counted.latency.saturating_record(micros);
        match ended {
            Ok(()) => counted.done += 1,
            Err(status) => {
                let why = format!("{what}: {} {}", status.code(), status.message());
                *counted.failed.entry(why).or_default() += 1;
            }
        }
    }

    /// The number of successful requests.
    pub fn done(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).done
    }

    /// The number of failed requests, by operation and error.
    pub fn failed(&self) -> BTreeMap<String, u64> {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.failed.clone()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ms = |percentile| {
            let micros = counted.latency.value_at_percentile(percentile);
            f64::from(u32::try_from(micros).unwrap_or(u32::MAX)) / 1000.0
        };
        write!(
            f,
            "{} requests answered, failed: {:?}; p50 {:.1} ms, p99 {:.1}, max {:.1}",
            counted.done,
            counted.failed,
            ms(50.0),
            ms(99.0),
            ms(100.0)
        )
    }
}

/// Hosts with rooms, and customers.
#[derive(Debug)]
pub struct Crowd {
    line: Line,
    /// The host of the rooms.
    pub host: Person,
    /// Rooms without approval.
    pub rooms: Vec<Room>,
    /// A room whose host must approve reservations.
    pub asked: Room,
    /// The customers.
    pub customers: Vec<Person>,
    visits: AtomicUsize,
    nights: AtomicUsize,
    booked: Mutex<Vec<(usize, String)>>,
}

impl Crowd {
    /// Registers enough customers and rooms for a number of bookings.
    pub async fn gather(line: Line, bookings: usize) -> Result<Self> {
        let host = Person::join(&line, id(), &[Role::Host]).await?;
        let rooms =
            (0..FEW.max(bookings.div_ceil(NIGHTS))).map(|_| register(&host, Approval::None));
        let offered = stream::iter(rooms).buffered(AT_A_TIME).try_collect();
        let people = (0..FEW.max(bookings.div_ceil(OPEN)))
            .map(|_| Person::join(&line, id(), &[Role::Customer]));
        let joined = stream::iter(people).buffered(AT_A_TIME).try_collect();
        let (offered, joined) = tokio::try_join!(offered, joined)?;
        Ok(Self {
            asked: register(&host, Approval::Host).await?,
            line,
            host,
            rooms: offered,
            customers: joined,
            visits: AtomicUsize::new(0),
            nights: AtomicUsize::new(0),
            booked: Mutex::default(),
        })
    }

    /// The operator.
    pub async fn operator(&self) -> Result<Person> {
        let signed_in = Person::sign_in(&self.line, ADMIN.into(), PASSWORD).await?;
        Ok(signed_in.0)
    }

    /// Starts a number of users, who send mixed requests without retries until `stop` is cancelled.
    pub fn use_platform(self: &Arc<Self>, people: usize, stop: &CancellationToken) -> Result<Use> {
        self.spawn(people, stop, 10)
    }

    /// Like [`Crowd::use_platform`], with bookings only.
    pub fn book_only(self: &Arc<Self>, people: usize, stop: &CancellationToken) -> Result<Use> {
        self.spawn(people, stop, 1)
    }

    fn spawn(
        self: &Arc<Self>,
        people: usize,
        stop: &CancellationToken,
        kinds: usize,
    ) -> Result<Use> {
        let tally = Arc::new(Tally::new()?);
        let mut tasks = JoinSet::new();
        for _ in 0..people {
            let (crowd, tally, stop) = (self.clone(), tally.clone(), stop.clone());
            tasks.spawn(async move {
                while !stop.is_cancelled() {
                    crowd.visit(&tally, kinds).await;
                }
            });
        }
        Ok(Use { tally, tasks })
    }

    /// Sends one request: of ten, four are bookings and six are reads.
    async fn visit(&self, tally: &Tally, kinds: usize) {
        let n = self.visits.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        let (what, ended) = match n % kinds {
            0..4 => ("book", self.book().await.map(|_| ())),
            4..6 => ("get", self.read_reservation(n).await),
            6..8 => ("rooms", self.read_rooms(n).await),
            _ => ("my page", self.read_page(n).await),
        };
        tally.note(what, began, ended);
    }

    /// Books a night that no other user books. The booking must be confirmed or pending payment.
    pub async fn book(&self) -> Result<Reservation, Status> {
        let n = self.nights.fetch_add(1, Ordering::Relaxed);
        let customer = self.customer(n)?;
        let rooms = self.rooms.len().max(1);
        let room = self.rooms.get(n % rooms).filter(|_| n / rooms < NIGHTS);
        let room = room.ok_or_else(|| Status::internal("more bookings than were planned"))?;
        let wanted = customer.wants(id(), room, night(n / rooms));
        let reservation = customer.book(wanted).await?;
        match reservation.status() {
            ReservationStatus::Confirmed
            | ReservationStatus::Requested
            | ReservationStatus::PaymentPending => {}
            status => return Err(Status::unknown(format!("{status:?}"))),
        }
        let mut booked = self.booked.lock().unwrap_or_else(PoisonError::into_inner);
        booked.push((n, reservation.reservation_id.clone()));
        Ok(reservation)
    }

    async fn read_reservation(&self, n: usize) -> Result<(), Status> {
        let known = {
            let booked = self.booked.lock().unwrap_or_else(PoisonError::into_inner);
            booked.get(n % booked.len().max(1)).cloned()
        };
        let Some((customer, reservation_id)) = known else {
            return self.read_rooms(n).await;
        };
        let mut reservations = self.customer(customer)?.reservations();
        let request = GetReservationRequest { reservation_id };
        reservations.get_reservation(request).await.map(|_| ())
    }

    async fn read_rooms(&self, n: usize) -> Result<(), Status> {
        let request = ListRoomsRequest {
            page_size: 5,
            ..ListRoomsRequest::default()
        };
        let mut rooms = self.customer(n)?.rooms();
        rooms.list_rooms(request).await.map(|_| ())
    }

    async fn read_page(&self, n: usize) -> Result<(), Status> {
        self.customer(n)?.my_page().await.map(|_| ())
    }

    /// One of the customers.
    pub fn customer(&self, n: usize) -> Result<&Person, Status> {
        let customer = self.customers.get(n % self.customers.len().max(1));
        customer.ok_or_else(|| Status::internal("no customers"))
    }

    /// Reads every acknowledged booking back. Returns their number; fails if one is missing.
    pub async fn find_booked(&self) -> Result<usize> {
        let booked = {
            let booked = self.booked.lock().unwrap_or_else(PoisonError::into_inner);
            booked.clone()
        };
        let found = booked.iter().map(async |(customer, reservation_id)| {
            let mut reservations = self.customer(*customer)?.reservations();
            let request = GetReservationRequest {
                reservation_id: reservation_id.clone(),
            };
            let found = reservations.get_reservation(request).await;
            found.with_context(|| format!("booking {reservation_id}"))
        });
        let found: Vec<_> = stream::iter(found)
            .buffered(AT_A_TIME)
            .try_collect()
            .await?;
        Ok(found.len())
    }

    /// The number of bookings.
    pub fn bookings(&self) -> usize {
        self.booked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

/// Running users.
#[derive(Debug)]
pub struct Use {
    /// The results so far.
    pub tally: Arc<Tally>,
    tasks: JoinSet<()>,
}

impl Use {
    /// Waits for a while, and returns the successful requests in a second.
    pub async fn go_on(&self, time: Duration) -> f64 {
        let (before, began) = (self.tally.done(), Instant::now());
        let mut polls = interval(Duration::from_millis(50));
        while began.elapsed() < time {
            polls.tick().await;
        }
        let done = u32::try_from(self.tally.done() - before).unwrap_or(u32::MAX);
        f64::from(done) / began.elapsed().as_secs_f64()
    }

    /// Waits for the last responses.
    pub async fn end(mut self) -> Result<Arc<Tally>> {
        while let Some(ended) = self.tasks.join_next().await {
            ended.context("a visitor")?;
        }
        Ok(self.tally)
    }
}

/// A new id.
pub fn id() -> String {
    Uuid::now_v7().to_string()
}

/// The n-th night from the day after tomorrow on.
pub fn night(n: usize) -> Period {
    let from = Zoned::now().date().saturating_add(2.days());
    let day = |n: usize| from.saturating_add(i64::try_from(n).unwrap_or(0).days());
    nights(&day(n).to_string(), &day(n + 1).to_string())
}

/// Registers a room.
pub async fn register(host: &Person, approval: Approval) -> Result<Room, Status> {
    let room = Room {
        room_id: id(),
        host_id: host.id.clone(),
        title: "A room".into(),
        unit: Unit::Night.into(),
        max_persons: 2,
        units: 1,
        price: eur(80),
        approval: approval.into(),
        time_zone: "UTC".into(),
        ..Room::default()
    };
    let request = RegisterRoomRequest { room: Some(room) };
    let registered = host.rooms().register_room(request).await?;
    Ok(registered.into_inner().room.unwrap_or_default())
}
