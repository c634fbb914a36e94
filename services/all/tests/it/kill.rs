//! Acknowledged requests survive SIGKILL.
//!
//! Guests book, pay and cancel, and a host approves and rejects, while the process is killed at random moments, also during
//! its start. Requests without a response are repeated with the same ids. At the end every response must agree with the
//! recorded state, and every invariant must hold. The seed is printed; `BERTH_KILL_SEED` sets it.

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

/// The number of kills of a running process.
const ROUNDS: usize = 50;
/// One of this number of rounds also kills a starting process.
const KILLED_START_EVERY: usize = 7;
/// The timeout of the test.
const TIMEOUT: Duration = Duration::from_mins(5);
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

/// The responses about each reservation, by its id.
type Answers = BTreeMap<String, Vec<Answer>>;

#[derive(Clone, Debug)]
enum Answer {
    /// The reservation as the guest received it.
    Is(Box<Reservation>),
    /// It was cancelled, with this refund.
    Cancelled(Box<Reservation>),
    /// Nothing was held.
    SoldOut,
    /// The charge was declined.
    Declined,
    Approved,
    Rejected,
}

/// The state that guests and the host share.
#[derive(Clone)]
struct Shared {
    rooms: Arc<Vec<Room>>,
    /// Set when guests must stop booking.
    finished: Arc<AtomicBool>,
    /// The number of calls with a response, and of repeated calls.
    answered: Arc<AtomicUsize>,
    repeated: Arc<AtomicUsize>,
}

impl Shared {
    /// Repeats a call until there is a response or a refusal.
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

/// Whether the outcome of a call is unknown, because the platform was down or died. Refusals by the platform have a reason,
/// and their codes are never NOT_FOUND or UNAUTHENTICATED here.
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
    shared: Shared,
    person: Person,
    random: StdRng,
    ids: u64,
    answers: Answers,
    /// The reservations that await the host's decision.
    pending: tasks::UnboundedSender<String>,
}

impl Guest {
    async fn run(mut self) -> Answers {
        while !self.shared.finished.load(Ordering::SeqCst) {
            self.book().await;
        }
        self.answers
    }

    async fn book(&mut self) {
        self.ids += 1;
        let id = id(self.ids);
        let period = self.period();
        let room = self.shared.rooms.choose(&mut self.random).unwrap();
        let mut wanted = self.person.wants(id.clone(), room, period);
        wanted.payment_method = (*METHODS.choose(&mut self.random).unwrap()).into();
        wanted.quantity = self.random.random_range(1..3);
        let request = async || self.person.book(wanted.clone()).await;
        let booked = match self.shared.answered(request).await {
            Ok(booked) => booked,
            Err(status) => return self.record_refusal(&id, &status),
        };
        assert_eq!(booked.period, wanted.period);
        assert_eq!(booked.quantity, wanted.quantity);
        let status = booked.status();
        self.record(&id, Answer::Is(Box::new(booked)));
        match status {
            Is::PendingApproval => {
                // The host may have stopped.
                let _ = self.pending.send(id.clone());
            }
            Is::Requested => self.pay(&id).await,
            _ => {}
        }
        if self.random.random_ratio(1, 3) {
            self.cancel_reservation(&id).await;
        }
    }

    fn record_refusal(&mut self, id: &str, status: &Status) {
        match reason_of(status).as_deref() {
            Some("SOLD_OUT") => self.record(id, Answer::SoldOut),
            Some("PAYMENT_DECLINED") => self.record(id, Answer::Declined),
            _ => panic!("{status:?}"),
        }
    }

    async fn pay(&mut self, id: &str) {
        let pay = async || {
            let reservation_id = id.to_owned();
            let request = PayReservationRequest { reservation_id };
            self.person.reservations().pay_reservation(request).await
        };
        match self.shared.answered(pay).await {
            Ok(paid) => {
                let paid = paid.into_inner().reservation.unwrap();
                self.record(id, Answer::Is(Box::new(paid)));
            }
            Err(status) => {
                assert_eq!(reason_of(&status).as_deref(), Some("PAYMENT_DECLINED"));
                self.record(id, Answer::Declined);
            }
        }
    }

    async fn cancel_reservation(&mut self, id: &str) {
        let cancel = async || {
            let request = CancelReservationRequest {
                reservation_id: id.to_owned(),
                ..Default::default()
            };
            let mut reservations = self.person.reservations();
            reservations.cancel_reservation(request).await
        };
        // A reservation that was declined or rejected in the meantime cannot be cancelled.
        if let Ok(cancelled) = self.shared.answered(cancel).await {
            let cancelled = cancelled.into_inner().reservation.unwrap();
            self.record(id, Answer::Cancelled(Box::new(cancelled)));
        }
    }

    fn record(&mut self, id: &str, answer: Answer) {
        self.answers.entry(id.to_owned()).or_default().push(answer);
    }

    /// One to three nights, some weeks from today.
    fn period(&mut self) -> Period {
        let day = |days: i64| {
            let at = Clock::System.now() + SignedDuration::from_hours(24 * days);
            at.to_zoned(TimeZone::UTC).date().to_string()
        };
        let first = self.random.random_range(20..80);
        let last = first + self.random.random_range(1..=3);
        nights(&day(first), &day(last))
    }
}

/// Approves or rejects reservations until all guests have stopped.
async fn run_host(
    shared: &Shared,
    host: Person,
    mut pending: tasks::UnboundedReceiver<String>,
    mut random: StdRng,
) -> Answers {
    let mut answers = Answers::new();
    while let Some(id) = pending.recv().await {
        let approves = random.random_ratio(4, 5);
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
        // A reservation that was cancelled in the meantime can be neither approved nor rejected.
        if shared.answered(decide).await.is_ok() {
            let answer = if approves {
                Answer::Approved
            } else {
                Answer::Rejected
            };
            answers.insert(id, vec![answer]);
        }
    }
    answers
}

fn id(n: u64) -> String {
    format!("{n:08x}-0000-4000-8000-{n:012x}")
}

fn connect(berth: &Berth) -> Channel {
    let address = format!("http://{}", berth.public);
    let endpoint = Endpoint::from_shared(address).unwrap();
    endpoint.tcp_nodelay(true).connect_lazy()
}

/// Kills the process repeatedly at random moments, and leaves it running.
fn kill_repeatedly(dir: &Path, line: &Line, first: Berth, mut random: StdRng) -> Berth {
    let (_never, never) = mpsc::channel::<()>();
    let wait = |millis: u64| {
        // Nothing is ever sent, so this waits for the timeout.
        let _ = never.recv_timeout(Duration::from_millis(millis));
    };
    let mut berth = first;
    for round in 0..ROUNDS {
        wait(random.random_range(50..700));
        berth.signal("KILL");
        berth.ends();
        if round % KILLED_START_EVERY == 0 {
            let mut command =
                command(&["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
            command.args(FLAGS).current_dir(dir);
            let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut start = quiet.spawn().unwrap();
            wait(random.random_range(0..250));
            start.kill().unwrap();
            start.wait().unwrap();
        }
        berth = Berth::start(dir, &FLAGS);
        line.turn_to(connect(&berth));
    }
    berth
}

async fn is_serving(line: &Line) -> bool {
    let mut health = HealthClient::new(line.clone());
    let asked = health.check(HealthCheckRequest::default()).await;
    asked.is_ok_and(|response| response.into_inner().status() == ServingStatus::Serving)
}

async fn register(host: &Person, n: u64) -> Room {
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

/// Scenario: S15.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_requests_survive_fifty_kills() {
    let seed = seed();
    println!("seed {seed}");
    let random = |n: u64| StdRng::seed_from_u64(seed.wrapping_add(n));
    let dir = tempfile::tempdir().unwrap();
    let first = Berth::start(dir.path(), &FLAGS);
    let line = Line::to(connect(&first));
    assert!(is_serving(&line).await);

    let host = Person::join(&line, id(1), &[Role::Host]).await.unwrap();
    let mut rooms = Vec::new();
    for n in 0..ROOMS as u64 {
        rooms.push(register(&host, 100 + n).await);
    }
    let shared = Shared {
        rooms: Arc::new(rooms),
        finished: Arc::default(),
        answered: Arc::default(),
        repeated: Arc::default(),
    };
    let (sender, pending) = tasks::unbounded_channel();
    let mut guests = Vec::new();
    for n in 1..=GUESTS as u64 {
        let person = Person::join(&line, id(n + 1), &[Role::Customer]);
        let guest = Guest {
            shared: shared.clone(),
            person: person.await.unwrap(),
            random: random(n),
            ids: n * 1_000_000,
            answers: Answers::new(),
            pending: sender.clone(),
        };
        guests.push(guest.run());
    }
    drop(sender);
    let all_run = async {
        tokio::join!(
            join_all(guests),
            run_host(&shared, host, pending, random(100))
        )
    };

    let (path, to, seeded) = (dir.path().to_owned(), line.clone(), random(0));
    let finished = shared.finished.clone();
    let killing = tokio::task::spawn_blocking(move || {
        let berth = kill_repeatedly(&path, &to, first, seeded);
        finished.store(true, Ordering::SeqCst);
        berth
    });
    let (mut all, decided) = timeout(TIMEOUT, all_run).await.unwrap();
    all.push(decided);
    let mut answers = Answers::new();
    for (id, received) in all.into_iter().flatten() {
        answers.entry(id).or_default().extend(received);
    }
    let mut berth = killing.await.unwrap();
    assert!(is_serving(&line).await);
    berth.signal("TERM");
    assert_eq!(berth.ends().code(), Some(0));

    let (answered, repeated) = (&shared.answered, &shared.repeated);
    println!(
        "{ROUNDS} kills: {} calls answered, {} repeated, {} bookings, {} cancelled",
        answered.load(Ordering::SeqCst),
        repeated.load(Ordering::SeqCst),
        count(&answers, |answer| matches!(answer, Answer::Is(_))),
        count(&answers, |answer| matches!(answer, Answer::Cancelled(_))),
    );
    assert!(answers.len() > ROUNDS, "there was hardly any load");
    check_answers(World::found(dir, Clock::System.now()).await, &answers).await;
}

/// The number of reservations with such a response.
fn count(answers: &Answers, so: fn(&Answer) -> bool) -> usize {
    answers
        .values()
        .filter(|received| received.iter().any(so))
        .count()
}

/// Opens the stores of the last process, finishes all scheduled work, and compares every response with the recorded state.
async fn check_answers(world: World, answers: &Answers) {
    world.quiet().await;
    for _ in 0..20 {
        world.advance_minutes(3).await;
    }
    world.advance_hours(25).await;
    world.check().await;
    let history = world.history().await;
    let reservations = history.by_reservation();
    for (id, answers) in answers {
        let steps = reservations.get(id.as_str()).cloned().unwrap_or_default();
        let last = steps.last().map(|step| &step.reservation);
        let was = |status: Is| {
            let mut states = steps.iter().map(|step| step.reservation.status());
            states.any(|state| state == status)
        };
        let cancelled = answers
            .iter()
            .any(|answer| matches!(answer, Answer::Cancelled(_)));
        for answer in answers {
            let holds = match (answer, last) {
                (Answer::SoldOut, last) => last.is_none(),
                (_, None) => false,
                (Answer::Is(received), Some(last)) => {
                    let kept = received.status() != Is::Confirmed
                        || cancelled
                        || last.status() == Is::Confirmed;
                    kept && was(received.status()) && is_same_booking(received, last)
                }
                (Answer::Cancelled(received), Some(last)) => {
                    last.status() == Is::Cancelled
                        && last.refund == received.refund
                        && is_same_booking(received, last)
                }
                (Answer::Declined | Answer::Rejected, Some(last)) => last.status() == Is::Rejected,
                (Answer::Approved, Some(_)) => was(Is::Approved),
            };
            assert!(
                holds,
                "{id} was answered {answers:#?} and is recorded as {last:#?}"
            );
        }
    }
}

/// Whether two versions of a reservation have the same terms.
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
