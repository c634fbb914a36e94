//! Circuit breakers under load, with real processes: an overloaded context does not slow the others down, and what cannot be
//! done now is accepted for later. The state of the breaker is read from the metrics, as an operator reads it.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use berth::{
    common::v1::Role,
    member::v1::GetMemberRequest,
    payment::v1::ListPaymentsRequest,
    reservation::v1::{PayReservationRequest, ReservationStatus},
    room::v1::{GetRoomRequest, Room},
    view::v1::ListRoomViewsRequest,
};
use futures::future::join_all;
use mesh::{Mesh, MeshOptions};
use stories::{
    people::{Line, Person},
    world::nights,
};
use tokio::time::interval;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::stage::{became, env, first, id, metric, people_on, register};

/// How many book at the same time.
const LOAD: usize = 16;

/// Time from one such wave to the next. Together with `PATIENCE` it keeps one guest below the 1,000 reservations that are
/// allowed here, however fast the machine is.
const WAVE: Duration = Duration::from_millis(250);

/// How long a breaker may take to become something.
const PATIENCE: Duration = Duration::from_secs(12);

/// A mesh with a room that many may book.
struct Stage {
    mesh: Mesh,
    line: Line,
    room: Room,
    /// How many reservations were asked for.
    booked: AtomicUsize,
}

impl Stage {
    async fn build() -> Self {
        let options = MeshOptions {
            env: env([("MAX_RESERVATION_PER_PERSON", "1000")]),
            postgres: None,
            ..MeshOptions::default()
        };
        let mesh = Mesh::start(options).await.unwrap();
        let line = Line::to(mesh.channel().unwrap());
        let (host, _) = people_on(&line).await;
        let room = register(&host, 1000).await.unwrap();
        let booked = AtomicUsize::new(0);
        Self {
            mesh,
            line,
            room,
            booked,
        }
    }

    async fn customer(&self) -> Person {
        Person::join(&self.line, id(), &[Role::Customer])
            .await
            .unwrap()
    }

    /// Books and answers the reservation's id and what became of it, which must be something.
    async fn books(&self, person: &Person, method: &str) -> (String, ReservationStatus) {
        // One night has 1,000 units.
        let day = 1 + self.booked.fetch_add(1, Ordering::Relaxed) / 500;
        let (begin, end) = (
            format!("2027-04-{day:02}"),
            format!("2027-04-{:02}", day + 1),
        );
        let mut wanted = person.wants(id(), &self.room, nights(&begin, &end));
        wanted.payment_method = method.into();
        let id = wanted.reservation_id.clone();
        let answer = person.request(wanted).await.unwrap();
        let status = answer.reservation.unwrap().status();
        // Who has not paid is asked to pay later.
        let paid = status == ReservationStatus::Confirmed;
        assert_eq!(answer.retry_delay.is_some(), !paid, "{status:?}");
        (id, status)
    }

    async fn pays(&self, person: &Person, reservation_id: &str) -> Result<(), Status> {
        let pay = PayReservationRequest {
            reservation_id: reservation_id.to_owned(),
        };
        person.reservations().pay_reservation(pay).await.map(|_| ())
    }

    /// How often the breaker of a process for `payment` has become something.
    fn became(&self, context: &str, to: &str) -> u64 {
        became(first(&self.mesh, context), "payment", to)
    }

    /// Whether the breaker for `payment` lets everybody through.
    fn is_closed(&self) -> bool {
        let state = "berth_breaker_state{peer=\"payment\"}";
        metric(first(&self.mesh, "reservation"), state) == 0
    }

    /// Books until the breaker is closed, or is not, and answers how long that took.
    async fn books_until(&self, person: &Person, closed: bool, held: &mut Vec<String>) -> Duration {
        let (began, mut waves) = (Instant::now(), interval(WAVE));
        while self.is_closed() != closed {
            waves.tick().await;
            assert!(began.elapsed() < PATIENCE, "closed: {closed}");
            let many = (0..LOAD).map(|_| self.books(person, "tok_approved"));
            for (id, status) in join_all(many).await {
                match status {
                    ReservationStatus::Requested => held.push(id),
                    other => assert_eq!(other, ReservationStatus::Confirmed),
                }
            }
        }
        began.elapsed()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_breaker_opens_within_a_second_and_closes_within_five() {
    let mut stage = Stage::build().await;
    let guest = stage.customer().await;
    let mut held = Vec::new();
    // What the load takes on this machine when nothing is wrong.
    let began = Instant::now();
    let many = (0..LOAD).map(|_| stage.books(&guest, "tok_approved"));
    for (_, status) in join_all(many).await {
        assert_eq!(status, ReservationStatus::Confirmed);
    }
    let usual = began.elapsed();
    stage.mesh.replica("payment-0").unwrap().kill().unwrap();
    let opened = stage.books_until(&guest, false, &mut held).await;
    let second = Duration::from_secs(1);
    assert!(opened < usual + second, "open after {opened:?}");
    assert!(held.len() >= 10, "{}", held.len());
    // Nobody waits for what is known to be away.
    let began = Instant::now();
    let (last, status) = stage.books(&guest, "tok_approved").await;
    held.push(last);
    assert_eq!(status, ReservationStatus::Requested);
    assert!(began.elapsed() < usual + second);

    let payment = stage.mesh.replica("payment-0").unwrap();
    payment.start().await.unwrap();
    stage.mesh.ready().await.unwrap();
    let closed = stage.books_until(&guest, true, &mut held).await;
    assert!(closed < usual + 5 * second, "closed after {closed:?}");
    for id in &held {
        stage.pays(&guest, id).await.unwrap();
        let found = guest.reservation(id).await.unwrap();
        assert_eq!(found.status(), ReservationStatus::Confirmed);
    }
    assert!(stage.became("reservation", "closed") >= 1);
    // It is the breaker of the process that calls; nobody else has had reason to think so.
    assert_eq!(stage.became("message", "open"), 0);
    stage.mesh.stop().await.unwrap();
}

/// What people do who have nothing to do with it. Answers how much of it there was; all of it must succeed.
async fn goes_on(stage: &Stage, person: &Person, done: &AtomicBool) -> usize {
    let mut count = 0;
    while !done.load(Ordering::Relaxed) || count < 50 {
        let get = GetRoomRequest {
            room_id: stage.room.room_id.clone(),
        };
        person.rooms().get_room(get).await.unwrap();
        let list = ListRoomViewsRequest::default();
        person.views().list_room_views(list).await.unwrap();
        person.my_page().await.unwrap();
        person.inbox().await.unwrap();
        let get = GetMemberRequest {
            member_id: person.id.clone(),
        };
        person.members().get_member(get).await.unwrap();
        count += 5;
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overload_of_payments_is_felt_by_nobody_else_and_is_paid_later() {
    let mut stage = Stage::build().await;
    let (crowd, normal) = (stage.customer().await, stage.customer().await);
    let payment = stage.mesh.replica("payment-0").unwrap();
    payment.set("BERTH_MAX_IN_FLIGHT", "8");
    payment.set("BERTH_PAYMENT_PROVIDER_TIMEOUT_MS", "500");
    payment.start().await.unwrap();
    stage.mesh.ready().await.unwrap();

    let done = AtomicBool::new(false);
    let overload = async {
        let (mut made, mut waves) = (Vec::new(), interval(WAVE));
        for _ in 0..12 {
            waves.tick().await;
            let many = (0..64).map(|_| stage.books(&crowd, "tok_slow_5000"));
            made.extend(join_all(many).await);
        }
        done.store(true, Ordering::Relaxed);
        made
    };
    // A direct caller of `payment` is refused while it is overloaded, with the time after which to retry.
    let asking = async {
        let mut refused = 0;
        while !done.load(Ordering::Relaxed) {
            let list = ListPaymentsRequest::default();
            if let Err(status) = crowd.payments().list_payments(list).await {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                assert!(status.get_details_retry_info().is_some(), "{status:?}");
                refused += 1;
            }
        }
        refused
    };
    let (made, refused, count) = tokio::join!(overload, asking, goes_on(&stage, &normal, &done));
    assert!(refused > 0);
    assert!(count >= 50);
    let later = made
        .iter()
        .filter(|(_, status)| *status == ReservationStatus::Requested);
    assert!(later.clone().count() > made.len() / 2, "most pay later");
    assert!(stage.became("reservation", "open") >= 1);
    // None is lost.
    for (id, _) in &made {
        crowd.reservation(id).await.unwrap();
    }
    // When it is over the breaker closes, and everything is as before.
    stage.books_until(&normal, true, &mut Vec::new()).await;
    assert!(stage.became("reservation", "closed") >= 1);
    let (_, status) = stage.books(&normal, "tok_approved").await;
    assert_eq!(status, ReservationStatus::Confirmed);
    stage.mesh.stop().await.unwrap();
}
