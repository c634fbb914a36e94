//! What happens whenever something has happened to a reservation.

use berth::{
    reservation::v1::{Reservation, ReservationConfirmed},
    room::v1::{RoomReleased, RoomReserved, RoomStatus},
};
use chassis::base::time::SignedDuration;

use crate::inn::{GUEST, Inn, a_review, a_room, host, stay, uuid};

const ATTIC: u128 = 1;

async fn with_a_room() -> Inn {
    let inn = Inn::new().await;
    inn.register(a_room(ATTIC)).await.unwrap();
    inn
}

async fn status(inn: &Inn) -> (RoomStatus, String) {
    let room = inn.get(ATTIC).await.unwrap();
    (room.status(), room.last_action)
}

#[tokio::test]
async fn a_confirmed_reservation_takes_the_room_and_its_end_gives_it_back() {
    let inn = with_a_room().await;
    inn.confirmed(11, ATTIC).await;
    assert_eq!(
        status(&inn).await,
        (RoomStatus::Reserved, "reserved".into())
    );
    let event: RoomReserved = inn.last(ATTIC).await;
    assert_eq!(
        (event.room_id.clone(), event.reservation_id.clone()),
        (uuid(ATTIC), uuid(11))
    );
    assert_eq!(event.status(), RoomStatus::Reserved);
    inn.completed(11, ATTIC).await;
    assert_eq!(
        status(&inn).await,
        (RoomStatus::Available, "released".into())
    );
    let event: RoomReleased = inn.last(ATTIC).await;
    assert_eq!(
        (event.reservation_id.clone(), event.status()),
        (uuid(11), RoomStatus::Available)
    );
    let log = inn.site.deps.store.log_of(uuid(ATTIC)).await.unwrap();
    assert!(
        log[1..]
            .iter()
            .all(|event| event.cause.correlation == uuid(11))
    );
    assert_eq!(log[1].cause.actor, "service:reservation");
}

#[tokio::test]
async fn a_room_is_taken_until_the_last_guest_has_left() {
    let inn = with_a_room().await;
    inn.confirmed(11, ATTIC).await;
    inn.confirmed(12, ATTIC).await;
    inn.completed(11, ATTIC).await;
    assert_eq!(
        status(&inn).await,
        (RoomStatus::Reserved, "released".into())
    );
    inn.cancelled(12, ATTIC).await;
    assert_eq!(
        status(&inn).await,
        (RoomStatus::Available, "released".into())
    );
}

#[tokio::test]
async fn a_reservation_that_is_given_up_frees_the_room_once() {
    let inn = with_a_room().await;
    inn.confirmed(11, ATTIC).await;
    inn.cancel_requested(11, ATTIC).await;
    assert_eq!(status(&inn).await.0, RoomStatus::Available);
    inn.cancelled(11, ATTIC).await;
    assert_eq!(
        inn.events(ATTIC).await,
        ["RoomRegistered", "RoomReserved", "RoomReleased"]
    );
}

#[tokio::test]
async fn a_reservation_that_was_never_confirmed_leaves_no_trace() {
    let inn = with_a_room().await;
    inn.cancelled(11, ATTIC).await;
    assert_eq!(
        status(&inn).await,
        (RoomStatus::Available, "registered".into())
    );
    assert_eq!(inn.events(ATTIC).await, ["RoomRegistered"]);
    assert!(inn.letters().await.is_empty());
}

#[tokio::test]
async fn events_that_come_again_or_late_change_nothing() {
    let inn = with_a_room().await;
    inn.cancelled(11, ATTIC).await;
    inn.confirmed(11, ATTIC).await;
    assert_eq!(status(&inn).await.0, RoomStatus::Available);
    for _ in 0..2 {
        inn.confirmed(12, ATTIC).await;
    }
    for _ in 0..2 {
        inn.completed(12, ATTIC).await;
    }
    inn.confirmed(12, ATTIC).await;
    assert_eq!(
        inn.events(ATTIC).await,
        ["RoomRegistered", "RoomReserved", "RoomReleased"]
    );
}

#[tokio::test]
async fn a_deleted_room_honours_what_was_sold_at_the_same_moment() {
    let inn = with_a_room().await;
    inn.delete(host(), ATTIC).await.unwrap();
    inn.confirmed(11, ATTIC).await;
    let event: RoomReserved = inn.last(ATTIC).await;
    assert_eq!(event.status(), RoomStatus::Deleted);
    assert_eq!(status(&inn).await, (RoomStatus::Deleted, "reserved".into()));
    inn.completed(11, ATTIC).await;
    inn.review(GUEST, a_review(11, 5, "Too good to last"))
        .await
        .unwrap();
    inn.settle().await;
    let room = inn.get(ATTIC).await.unwrap();
    assert_eq!((room.status(), room.review_count), (RoomStatus::Deleted, 1));
    assert!(inn.letters().await.is_empty());
}

#[tokio::test]
async fn other_things_than_rooms_do_not_concern_it() {
    let inn = with_a_room().await;
    for kind in [0, 77, -1] {
        let reservation = Some(Reservation {
            kind,
            ..stay(11, ATTIC)
        });
        inn.tell(11, ReservationConfirmed { reservation }).await;
    }
    inn.settle().await;
    assert_eq!(inn.events(ATTIC).await, ["RoomRegistered"]);
    assert!(inn.letters().await.is_empty());
}

#[tokio::test]
async fn what_happened_while_it_was_away_is_made_up_for() {
    let mut inn = with_a_room().await;
    for reservation in 11..=30 {
        let confirmed = ReservationConfirmed {
            reservation: Some(stay(reservation, ATTIC)),
        };
        inn.tell(reservation, confirmed).await;
    }
    inn.restart().await;
    inn.settle().await;
    assert_eq!(inn.events(ATTIC).await.len(), 21);
    for reservation in 11..=30 {
        assert_eq!(status(&inn).await.0, RoomStatus::Reserved);
        inn.completed(reservation, ATTIC).await;
    }
    assert_eq!(status(&inn).await.0, RoomStatus::Available);
}

#[tokio::test]
async fn a_reservation_of_a_room_that_is_not_there_yet_waits_for_it() {
    let inn = Inn::new().await;
    inn.confirmed(11, ATTIC).await;
    let letters = inn.letters().await;
    assert_eq!(
        (letters.len(), letters[0].reason.as_str()),
        (1, "refused: no such room")
    );
    inn.register(a_room(ATTIC)).await.unwrap();
    inn.clock.turn(SignedDuration::from_mins(2));
    inn.settle().await;
    assert_eq!(status(&inn).await.0, RoomStatus::Reserved);
    assert!(inn.letters().await.is_empty());
}

#[tokio::test]
async fn a_malformed_event_stops_only_its_own_reservation() {
    let inn = with_a_room().await;
    inn.tell(11, ReservationConfirmed { reservation: None })
        .await;
    let nowhere = Some(Reservation {
        offer_id: "no id".into(),
        ..stay(12, ATTIC)
    });
    inn.tell(
        12,
        ReservationConfirmed {
            reservation: nowhere,
        },
    )
    .await;
    inn.confirmed(13, ATTIC).await;
    assert_eq!(status(&inn).await.0, RoomStatus::Reserved);
    assert_eq!(inn.letters().await.len(), 2);
}
