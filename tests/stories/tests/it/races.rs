//! Concurrency: many requests for one unit, and concurrent commands to one reservation.

use berth::{
    offer::v1::Approval,
    reservation::v1::{
        ApproveReservationRequest, CancelReservationRequest, PayReservationRequest,
        RejectReservationRequest, RequestReservationRequest, RequestReservationResponse,
        ReservationStatus,
    },
    room::v1::{DeleteRoomRequest, ModifyRoomRequest, Room},
};
use chassis::{base::time::SignedDuration, error::status::reason_of};
use stories::{
    mode::Mode,
    people::Person,
    world::{World, eur, nights},
};
use tonic::{Code, Status};

stories::stories! { one, mesh: [
    of_a_thousand_requests_for_one_room_one_succeeds,
    of_a_thousand_requests_for_seven_rooms_seven_succeed,
    a_refused_stay_with_one_sold_out_night_holds_no_other_night,
    ten_concurrent_requests_with_one_id_make_one_booking,
    concurrent_approval_rejection_cancellation_and_lapse_keep_the_invariants,
    concurrent_payment_cancellation_and_lapse_keep_the_invariants,
    a_held_reservation_keeps_its_terms_when_the_room_is_changed_or_deleted,
] }

async fn crowd(world: &World, size: usize) -> Vec<Person> {
    let mut crowd = Vec::with_capacity(size);
    for _ in 0..size {
        crowd.push(world.customer().await);
    }
    crowd
}

/// Sends a thousand requests for one room at once. Returns how many of them hold the room; all of those become confirmed.
async fn rush(world: &World, crowd: &[Person], room: &Room) -> usize {
    world.quiet().await;
    let requests: Vec<(Person, RequestReservationRequest)> = (0..1000)
        .map(|n| {
            let person = crowd[n % crowd.len()].clone();
            let wanted = person.wants(world.id(), room, nights("2027-04-01", "2027-04-02"));
            (person, wanted)
        })
        .collect();
    let racing: Vec<_> = requests
        .into_iter()
        .map(|(person, wanted)| {
            tokio::spawn(async move { (until_decided(&person, &wanted).await, person, wanted) })
        })
        .collect();
    let mut succeeded = Vec::new();
    for racer in racing {
        match racer.await.unwrap() {
            (Ok(_), person, wanted) => succeeded.push((person, wanted)),
            (Err(refused), ..) => {
                let reason = reason_of(&refused);
                assert_eq!(reason.as_deref(), Some("SOLD_OUT"), "{refused:?}");
                assert_eq!(refused.code(), Code::FailedPrecondition);
            }
        }
    }
    // A charge that was too slow on a busy machine is finished by the retry of its job.
    for (person, wanted) in &succeeded {
        let id = &wanted.reservation_id;
        for _ in 0..60 {
            if person.reservation(id).await.unwrap().status() == ReservationStatus::Confirmed {
                break;
            }
            world.advance(SignedDuration::from_secs(5)).await;
            until_decided(person, wanted).await.unwrap();
        }
        let found = person.reservation(id).await.unwrap();
        assert_eq!(found.status(), ReservationStatus::Confirmed);
    }
    succeeded.len()
}

/// Repeats a request with the same id while the platform is overloaded, as a client must.
async fn until_decided(
    person: &Person,
    wanted: &RequestReservationRequest,
) -> Result<RequestReservationResponse, Status> {
    loop {
        match person.request(wanted.clone()).await {
            Err(status) if is_overload(&status) => tokio::task::yield_now().await,
            decided => return decided,
        }
    }
}

fn is_overload(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded)
}

/// Scenario: S1.
async fn of_a_thousand_requests_for_one_room_one_succeeds(mode: Mode) {
    let world = World::start(mode).await;
    let (host, crowd) = (world.host().await, crowd(&world, 20).await);
    let room = world.room(&host, |_| ()).await;
    assert_eq!(rush(&world, &crowd, &room).await, 1);
    world.check().await;
}

/// Scenario: S1.
pub(crate) async fn of_a_thousand_requests_for_seven_rooms_seven_succeed(mode: Mode) {
    let world = World::start(mode).await;
    let (host, crowd) = (world.host().await, crowd(&world, 20).await);
    let room = world.room(&host, |room| room.units = 7).await;
    assert_eq!(rush(&world, &crowd, &room).await, 7);
    world.check().await;
}

/// Scenario: S2.
async fn a_refused_stay_with_one_sold_out_night_holds_no_other_night(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |room| room.units = 2).await;
    for _ in 0..2 {
        guest
            .book(guest.wants(world.id(), &room, nights("2027-04-03", "2027-04-04")))
            .await
            .unwrap();
    }
    let long = guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-05"));
    assert_eq!(
        reason_of(&guest.request(long).await.unwrap_err()).unwrap(),
        "SOLD_OUT"
    );
    let mut both = guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-03"));
    both.quantity = 2;
    assert_eq!(
        guest.book(both).await.unwrap().units,
        [1, 2],
        "the refused request left no claims"
    );
    world.check().await;
}

/// Scenario: S5.
pub(crate) async fn ten_concurrent_requests_with_one_id_make_one_booking(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |room| room.units = 20).await;
    let wanted = guest.wants(world.id(), &room, nights("2027-04-01", "2027-04-02"));
    let racing: Vec<_> = (0..10)
        .map(|_| {
            let (guest, wanted) = (guest.clone(), wanted.clone());
            tokio::spawn(async move { guest.book(wanted).await })
        })
        .collect();
    for racer in racing {
        let booked = racer.await.unwrap().unwrap();
        assert_eq!(
            (booked.reservation_id.as_str(), &booked.units[..]),
            (wanted.reservation_id.as_str(), &[1][..])
        );
    }
    world.quiet().await;
    let confirmed = guest.reservation(&wanted.reservation_id).await.unwrap();
    assert_eq!(confirmed.status(), ReservationStatus::Confirmed);
    let again = guest.book(wanted.clone()).await.unwrap();
    assert_eq!(again, confirmed, "a repeat has the same response");
    let mut other = wanted;
    other.persons = 2;
    let reused = guest.request(other).await.unwrap_err();
    assert_eq!(
        (reused.code(), reason_of(&reused).unwrap().as_str()),
        (Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED")
    );
    world.check().await;
}

/// A command to a reservation, or the lapse of its hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Approve,
    Reject,
    Pay,
    CancelByGuest,
    CancelByHost,
    Lapse,
}

struct Scene {
    world: World,
    /// How long a hold lasts.
    hold: SignedDuration,
    host: Person,
    guest: Person,
}

impl Scene {
    async fn act(&self, act: Act, id: &str) -> Result<(), Status> {
        let reservation_id = id.to_owned();
        match act {
            Act::Approve => {
                let request = ApproveReservationRequest { reservation_id };
                self.host
                    .reservations()
                    .approve_reservation(request)
                    .await
                    .map(|_| ())
            }
            Act::Reject => {
                let request = RejectReservationRequest {
                    reservation_id,
                    reason: String::new(),
                };
                self.host
                    .reservations()
                    .reject_reservation(request)
                    .await
                    .map(|_| ())
            }
            Act::Pay => {
                let request = PayReservationRequest { reservation_id };
                self.guest
                    .reservations()
                    .pay_reservation(request)
                    .await
                    .map(|_| ())
            }
            Act::CancelByGuest | Act::CancelByHost => {
                let person = if act == Act::CancelByGuest {
                    &self.guest
                } else {
                    &self.host
                };
                let request = CancelReservationRequest {
                    reservation_id,
                    ..Default::default()
                };
                person
                    .reservations()
                    .cancel_reservation(request)
                    .await
                    .map(|_| ())
            }
            Act::Lapse => {
                self.world.clock.turn(self.hold);
                Ok(())
            }
        }
    }
}

/// Runs every pair of acts concurrently on a new reservation, three times each, and checks the invariants.
async fn all_pairs(mode: Mode, approval: Approval, acts: &[Act]) {
    // A hold lapses after an hour, so a token must be valid for an hour.
    let world = World::with_flags(
        mode,
        &["--approval-hours", "1", "--access-token-seconds", "3600"],
    )
    .await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |room| room.set_approval(approval)).await;
    let minutes = if approval == Approval::Host { 60 } else { 15 };
    let scene = Scene {
        world,
        hold: SignedDuration::from_mins(minutes),
        host,
        guest,
    };
    let begin = scene.world.clock.now();
    for one in acts {
        for two in acts {
            for round in 0..3 {
                // Every race uses the same night and frees it afterwards.
                let id = scene.world.id();
                let wanted =
                    scene
                        .guest
                        .wants(id.clone(), &room, nights("2027-06-01", "2027-06-02"));
                if acts.contains(&Act::Pay) {
                    scene.world.down("payment");
                }
                scene.guest.book(wanted).await.unwrap();
                if acts.contains(&Act::Pay) {
                    scene.world.up("payment").await;
                }
                let (first, second) = tokio::join!(scene.act(*one, &id), scene.act(*two, &id));
                for refused in [first, second].into_iter().filter_map(Result::err) {
                    let expected =
                        matches!(refused.code(), Code::FailedPrecondition | Code::Aborted)
                            || is_overload(&refused);
                    assert!(
                        expected,
                        "{one:?} against {two:?}, round {round}: {refused:?}"
                    );
                }
                scene.world.quiet().await;
                // The night is freed for the next race.
                let _ = scene.act(Act::CancelByHost, &id).await;
                scene.world.quiet().await;
                scene.world.clock.set(begin);
            }
        }
    }
    scene.world.advance_hours(25).await;
    scene.world.check().await;
}

/// Scenario: S3.
async fn concurrent_approval_rejection_cancellation_and_lapse_keep_the_invariants(mode: Mode) {
    use Act::{Approve, CancelByGuest, CancelByHost, Lapse, Reject};
    all_pairs(
        mode,
        Approval::Host,
        &[Approve, Reject, CancelByGuest, CancelByHost, Lapse],
    )
    .await;
}

/// Scenario: S3.
pub(crate) async fn concurrent_payment_cancellation_and_lapse_keep_the_invariants(mode: Mode) {
    use Act::{CancelByGuest, CancelByHost, Lapse, Pay};
    all_pairs(
        mode,
        Approval::None,
        &[Pay, CancelByGuest, CancelByHost, Lapse],
    )
    .await;
}

/// Scenario: S9.
async fn a_held_reservation_keeps_its_terms_when_the_room_is_changed_or_deleted(mode: Mode) {
    let world = World::start(mode).await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |_| ()).await;
    world.down("payment");
    let id = world.id();
    guest
        .book(guest.wants(id.clone(), &room, nights("2027-04-01", "2027-04-02")))
        .await
        .unwrap();
    world.up("payment").await;
    let dearer = Room {
        price: eur(500),
        ..room.clone()
    };
    let modify = ModifyRoomRequest {
        room: Some(dearer),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["price".into()],
        }),
    };
    host.rooms().modify_room(modify).await.unwrap();
    host.rooms()
        .delete_room(DeleteRoomRequest {
            room_id: room.room_id.clone(),
        })
        .await
        .unwrap();
    // The replica of offers must hold the deletion, because GetOffer may be too slow on a busy machine.
    world.quiet().await;
    let pay = PayReservationRequest {
        reservation_id: id.clone(),
    };
    let paid = guest
        .reservations()
        .pay_reservation(pay)
        .await
        .unwrap()
        .into_inner()
        .reservation
        .unwrap();
    assert_eq!(
        (paid.status(), paid.price),
        (ReservationStatus::Confirmed, eur(80))
    );
    let refused = guest
        .request(guest.wants(world.id(), &room, nights("2027-05-01", "2027-05-02")))
        .await
        .unwrap_err();
    assert_eq!(reason_of(&refused).unwrap(), "OFFER_WITHDRAWN");
    world.check().await;
}
