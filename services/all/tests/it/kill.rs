//! Does a platform that is killed again and again keep what it has acknowledged?
//!
//! Guests book, pay and give up, and a host decides, while the process is killed at any moment, also while it starts.
//! Whoever is not answered asks again with the same ids. At the end everything that was ever answered must be there,
//! exactly as it was answered, and every invariant must hold. A seed is printed; `BERTH_KILL_SEED` takes it back.

use std::{
    collections::BTreeMap,
    env,
    path::Path,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use berth::{
    common::v1::Role,
    offer::v1::{Approval, Period, Unit},
    reservation::v1::{
        ApproveReservationRequest, CancelReservationRequest, PayReservationRequest,
        RejectReservationRequest, Reservation, ReservationStatus as Is,
    },
    room::v1::{RegisterRoomRequest, Room},
};
use chassis::{
    Clock,
    base::time::{SignedDuration, TimeZone},
    error::status::reason_of,
};
use futures::future::join_all;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use stories::{
    people::{Line, PASSWORD, Person},
    world::{ADMIN, World, eur, nights},
};
use tokio::{sync::mpsc as tasks, time::timeout};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::berth::{Berth, command};

/// How often it is killed at work.
const ROUNDS: usize = 50;
/// Of so many rounds one begins with a start that is killed, too.
const STILLBORN: usize = 7;
/// Longer than all of it should take.
const LONGEST: Duration = Duration::from_mins(5);
const GUESTS: usize = 4;
const ROOMS: usize = 8;
const FLAGS: [&str; 10] = [
    "--data-dir",
    ".",
    "--admin-email",
    ADMIN,
    "--admin-password",
    PASSWORD,
    "--max-reservation-per-person",
    "1000",
    "--payment-provider-timeout-ms",
    "100",
];
const METHODS: [&str; 8] = [
    "tok_approved",
    "tok_approved",
    "tok_approved",
    "tok_declined",
    "tok_slow_300",
    "tok_timeout_after",
    "tok_timeout_before",
    "tok_refund_fails_twice",
];

/// What somebody was told about a reservation, by its id.
type Told = BTreeMap<String, Vec<Answer>>;

#[derive(Clone, Debug)]
enum Answer {
    /// It is as the guest was told.
    Is(Box<Reservation>),
    /// It was given up, with this refund.
    GivenUp(Box<Reservation>),
    /// Nothing is held.
    SoldOut,
    /// The charge was declined.
    Declined,
    Approved,
    Rejected,
}

/// What everybody needs.
#[derive(Clone)]
struct Town {
    rooms: Arc<Vec<Room>>,
    /// No more new bookings.
    evening: Arc<AtomicBool>,
    /// How many calls were answered, and how many had to be repeated.
    answered: Arc<AtomicUsize>,
    repeated: Arc<AtomicUsize>,
}

impl Town {
    /// Calls until there is an answer, a yes or a no.
    async fn answered<T>(&self, call: impl AsyncFn() -> Result<T, Status>) -> Result<T, Status> {
        let mut tries = tokio::time::interval(Duration::from_millis(10));
        loop {
            tries.tick().await;
            match timeout(Duration::from_secs(2), call()).await {
                Ok(Err(status)) if is_no_answer(&status) => {}
                Ok(answer) => {
                    self.answered.fetch_add(1, Ordering::SeqCst);
                    return answer;
                }
                Err(_) => {}
            }
            self.repeated.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Whether an error says nothing about what was asked: the platform is not there, or died meanwhile. What the platform
/// itself says has a reason, and it never says that it does not know or that the caller is nobody.
fn is_no_answer(status: &Status) -> bool {
    let reason = reason_of(status);
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Aborted => true,
        Code::Unknown | Code::Internal | Code::Cancelled => {
            assert_eq!(reason, None, "{status:?}");
            true
        }
        Code::FailedPrecondition => false,
        _ => panic!("{status:?}"),
    }
}

struct Guest {
    town: Town,
    person: Person,
    chance: StdRng,
    ids: u64,
    told: Told,
    /// Tells the host that there is something to decide.
    asks: tasks::UnboundedSender<String>,
}

impl Guest {
    async fn lives(mut self) -> Told {
        while !self.town.evening.load(Ordering::SeqCst) {
            self.books().await;
        }
        self.told
    }

    async fn books(&mut self) {
        self.ids += 1;
        let id = id(self.ids);
        let period = self.period();
        let room = self.town.rooms.choose(&mut self.chance).unwrap();
        let mut wanted = self.person.wants(id.clone(), room, period);
        wanted.payment_method = (*METHODS.choose(&mut self.chance).unwrap()).into();
        wanted.quantity = self.chance.random_range(1..3);
        let request = async || self.person.book(wanted.clone()).await;
        let booked = match self.town.answered(request).await {
            Ok(booked) => booked,
            Err(status) => return self.was_refused(&id, &status),
        };
        assert_eq!(booked.period, wanted.period);
        assert_eq!(booked.quantity, wanted.quantity);
        let status = booked.status();
        self.hears(&id, Answer::Is(Box::new(booked)));
        match status {
            Is::PendingApproval => {
                // The host may have gone home.
                let _ = self.asks.send(id.clone());
            }
            Is::Requested => self.pays(&id).await,
            _ => {}
        }
        if self.chance.random_ratio(1, 3) {
            self.gives_up(&id).await;
        }
    }

    fn was_refused(&mut self, id: &str, status: &Status) {
        match reason_of(status).as_deref() {
            Some("SOLD_OUT") => self.hears(id, Answer::SoldOut),
            Some("PAYMENT_DECLINED") => self.hears(id, Answer::Declined),
            _ => panic!("{status:?}"),
        }
    }

    async fn pays(&mut self, id: &str) {
        let pay = async || {
            let reservation_id = id.to_owned();
            let request = PayReservationRequest { reservation_id };
            self.person.reservations().pay_reservation(request).await
        };
        match self.town.answered(pay).await {
            Ok(paid) => {
                let paid = paid.into_inner().reservation.unwrap();
                self.hears(id, Answer::Is(Box::new(paid)));
            }
            Err(status) => {
                assert_eq!(reason_of(&status).as_deref(), Some("PAYMENT_DECLINED"));
                self.hears(id, Answer::Declined);
            }
        }
    }

    async fn gives_up(&mut self, id: &str) {
        let cancel = async || {
            let request = CancelReservationRequest {
                reservation_id: id.to_owned(),
                ..Default::default()
            };
            let mut reservations = self.person.reservations();
            reservations.cancel_reservation(request).await
        };
        // Declined or rejected meanwhile, it cannot be given up.
        if let Ok(given_up) = self.town.answered(cancel).await {
            let given_up = given_up.into_inner().reservation.unwrap();
            self.hears(id, Answer::GivenUp(Box::new(given_up)));
        }
    }

    fn hears(&mut self, id: &str, answer: Answer) {
        self.told.entry(id.to_owned()).or_default().push(answer);
    }

    /// One to three nights, some weeks from today.
    fn period(&mut self) -> Period {
        let day = |days: i64| {
            let at = Clock::System.now() + SignedDuration::from_hours(24 * days);
            at.to_zoned(TimeZone::UTC).date().to_string()
        };
        let first = self.chance.random_range(20..80);
        let last = first + self.chance.random_range(1..=3);
        nights(&day(first), &day(last))
    }
}

/// Decides about whatever is asked, until nobody asks any more.
async fn hosts(
    town: &Town,
    host: Person,
    mut asked: tasks::UnboundedReceiver<String>,
    mut chance: StdRng,
) -> Told {
    let mut told = Told::new();
    while let Some(id) = asked.recv().await {
        let approves = chance.random_ratio(4, 5);
        let decide = async || {
            let (mut reservations, reservation_id) = (host.reservations(), id.clone());
            if approves {
                let request = ApproveReservationRequest { reservation_id };
                reservations.approve_reservation(request).await.map(|_| ())
            } else {
                let reason = String::new();
                let request = RejectReservationRequest {
                    reservation_id,
                    reason,
                };
                reservations.reject_reservation(request).await.map(|_| ())
            }
        };
        // What was given up meanwhile cannot be decided.
        if town.answered(decide).await.is_ok() {
            let answer = if approves {
                Answer::Approved
            } else {
                Answer::Rejected
            };
            told.insert(id, vec![answer]);
        }
    }
    told
}

fn id(n: u64) -> String {
    format!("{n:08x}-0000-4000-8000-{n:012x}")
}

fn connect(berth: &Berth) -> Channel {
    let address = format!("http://{}", berth.public);
    let endpoint = Endpoint::from_shared(address).unwrap();
    endpoint.tcp_nodelay(true).connect_lazy()
}

/// Kills it again and again at moments that chance chooses; leaves it running.
fn kills(dir: &Path, line: &Line, first: Berth, mut chance: StdRng) -> Berth {
    let (_never, told) = mpsc::channel::<()>();
    let wait = |millis: u64| {
        // Nobody ever tells anything, so this takes its time.
        let _ = told.recv_timeout(Duration::from_millis(millis));
    };
    let mut berth = first;
    for round in 0..ROUNDS {
        wait(chance.random_range(50..700));
        berth.signal("KILL");
        berth.ends();
        if round % STILLBORN == 0 {
            let mut command =
                command(&["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
            command.args(FLAGS).current_dir(dir);
            let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut stillborn = quiet.spawn().unwrap();
            wait(chance.random_range(0..250));
            stillborn.kill().unwrap();
            stillborn.wait().unwrap();
        }
        berth = Berth::start(dir, &FLAGS);
        line.turn_to(connect(&berth));
    }
    berth
}

async fn is_serving(line: &Line) -> bool {
    let mut health = HealthClient::new(line.clone());
    let asked = health.check(HealthCheckRequest::default()).await;
    asked.is_ok_and(|told| told.into_inner().status() == ServingStatus::Serving)
}

async fn registers(host: &Person, n: u64) -> Room {
    let mut room = Room {
        room_id: id(n),
        host_id: host.id.clone(),
        title: "A room".into(),
        unit: Unit::Night.into(),
        max_persons: 2,
        units: 40,
        price: eur(80),
        time_zone: "UTC".into(),
        ..Room::default()
    };
    if n.is_multiple_of(4) {
        room.set_approval(Approval::Host);
    }
    let request = RegisterRoomRequest { room: Some(room) };
    let registered = host.rooms().register_room(request).await.unwrap();
    registered.into_inner().room.unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "it is no setting of the platform"
)]
fn seed() -> u64 {
    let given = env::var("BERTH_KILL_SEED").ok();
    let given = given.map(|seed| seed.parse().unwrap());
    given.unwrap_or_else(|| u64::try_from(Clock::System.now().as_microsecond()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn s15_what_was_acknowledged_survives_fifty_kills() {
    let seed = seed();
    println!("seed {seed}");
    let chance = |n: u64| StdRng::seed_from_u64(seed.wrapping_add(n));
    let dir = tempfile::tempdir().unwrap();
    let first = Berth::start(dir.path(), &FLAGS);
    let line = Line::to(connect(&first));
    assert!(is_serving(&line).await);

    let host = Person::join(&line, id(1), &[Role::Host]).await.unwrap();
    let mut rooms = Vec::new();
    for n in 0..ROOMS as u64 {
        rooms.push(registers(&host, 100 + n).await);
    }
    let town = Town {
        rooms: Arc::new(rooms),
        evening: Arc::default(),
        answered: Arc::default(),
        repeated: Arc::default(),
    };
    let (asks, asked) = tasks::unbounded_channel();
    let mut guests = Vec::new();
    for n in 1..=GUESTS as u64 {
        let person = Person::join(&line, id(n + 1), &[Role::Customer]);
        let guest = Guest {
            town: town.clone(),
            person: person.await.unwrap(),
            chance: chance(n),
            ids: n * 1_000_000,
            told: Told::new(),
            asks: asks.clone(),
        };
        guests.push(guest.lives());
    }
    drop(asks);
    let lives = async { tokio::join!(join_all(guests), hosts(&town, host, asked, chance(100))) };

    let (path, to, dice) = (dir.path().to_owned(), line.clone(), chance(0));
    let evening = town.evening.clone();
    let killing = tokio::task::spawn_blocking(move || {
        let berth = kills(&path, &to, first, dice);
        evening.store(true, Ordering::SeqCst);
        berth
    });
    let (mut all, decided) = timeout(LONGEST, lives).await.unwrap();
    all.push(decided);
    let mut told = Told::new();
    for (id, answers) in all.into_iter().flatten() {
        told.entry(id).or_default().extend(answers);
    }
    let mut berth = killing.await.unwrap();
    assert!(is_serving(&line).await);
    berth.signal("TERM");
    assert_eq!(berth.ends().code(), Some(0));

    let (answered, repeated) = (&town.answered, &town.repeated);
    println!(
        "{ROUNDS} kills: {} calls answered, {} repeated, {} bookings, {} given up",
        answered.load(Ordering::SeqCst),
        repeated.load(Ordering::SeqCst),
        count(&told, |answer| matches!(answer, Answer::Is(_))),
        count(&told, |answer| matches!(answer, Answer::GivenUp(_))),
    );
    assert!(told.len() > ROUNDS, "there was hardly any load");
    everything_is_as_it_was_told(World::found(dir, Clock::System.now()).await, &told).await;
}

/// How many were told so.
fn count(told: &Told, so: fn(&Answer) -> bool) -> usize {
    told.values().filter(|told| told.iter().any(so)).count()
}

/// Opens what the last platform has left, lets everything come to its end, and compares.
async fn everything_is_as_it_was_told(world: World, told: &Told) {
    world.quiet().await;
    for _ in 0..20 {
        world.advance_minutes(3).await;
    }
    world.advance_hours(25).await;
    world.check().await;
    let history = world.history().await;
    let reservations = history.by_reservation();
    for (id, answers) in told {
        let steps = reservations.get(id.as_str()).cloned().unwrap_or_default();
        let last = steps.last().map(|step| &step.reservation);
        let was = |status: Is| {
            let mut states = steps.iter().map(|step| step.reservation.status());
            states.any(|state| state == status)
        };
        let given_up = answers
            .iter()
            .any(|told| matches!(told, Answer::GivenUp(_)));
        for answer in answers {
            let holds = match (answer, last) {
                (Answer::SoldOut, last) => last.is_none(),
                (_, None) => false,
                (Answer::Is(told), Some(last)) => {
                    let kept = told.status() != Is::Confirmed
                        || given_up
                        || last.status() == Is::Confirmed;
                    kept && was(told.status()) && is_same_booking(told, last)
                }
                (Answer::GivenUp(told), Some(last)) => {
                    last.status() == Is::Cancelled
                        && last.refund == told.refund
                        && is_same_booking(told, last)
                }
                (Answer::Declined | Answer::Rejected, Some(last)) => last.status() == Is::Rejected,
                (Answer::Approved, Some(_)) => was(Is::Approved),
            };
            assert!(holds, "{id} was told {answers:#?} and became {last:#?}");
        }
    }
}

/// Whether what was agreed is the same.
fn is_same_booking(one: &Reservation, two: &Reservation) -> bool {
    let agreed = |reservation: &Reservation| {
        let Reservation {
            offer_id,
            customer_id,
            period,
            units,
            price,
            create_time,
            ..
        } = reservation.clone();
        (offer_id, customer_id, period, units, price, create_time)
    };
    agreed(one) == agreed(two)
}
