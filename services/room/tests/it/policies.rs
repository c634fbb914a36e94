//! Policies: reactions to events of reservations.

use berth::{
    reservation::v1::{Reservation, ReservationCancelled, ReservationConfirmed},
    room::v1::{RoomReleased, RoomReserved, RoomStatus},
};
use chassis::base::time::SignedDuration;

use crate::fixture::{Fixture, GUEST, a_review, a_room, euros, host, stay, uuid};

const ATTIC: u128 = 1;

async fn with_a_room() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.register(a_room(ATTIC)).await.unwrap();
    fixture
}

async fn status(fixture: &Fixture) -> (RoomStatus, String) {
    let room = fixture.get(ATTIC).await.unwrap();
    (room.status(), room.last_action)
}

#[tokio::test]
async fn a_confirmed_reservation_reserves_the_room_and_its_completion_releases_it() {
    let fixture = with_a_room().await;
    fixture.confirmed(11, ATTIC).await;
    assert_eq!(
        status(&fixture).await,
        (RoomStatus::Reserved, "reserved".into())
    );
    let event: RoomReserved = fixture.last(ATTIC).await;
    assert_eq!(
        (event.room_id.clone(), event.reservation_id.clone()),
        (uuid(ATTIC), uuid(11))
    );
    assert_eq!(event.status(), RoomStatus::Reserved);
    fixture.completed(11, ATTIC).await;
    assert_eq!(
        status(&fixture).await,
        (RoomStatus::Available, "released".into())
    );
    let event: RoomReleased = fixture.last(ATTIC).await;
    assert_eq!(
        (event.reservation_id.clone(), event.status()),
        (uuid(11), RoomStatus::Available)
    );
    let log = fixture
        .runtime
        .deps
        .store
        .log_of(uuid(ATTIC))
        .await
        .unwrap();
    assert!(
        log[1..]
            .iter()
            .all(|event| event.cause.correlation == uuid(11))
    );
    assert_eq!(log[1].cause.actor, "service:reservation");
}

#[tokio::test]
async fn a_room_is_reserved_until_its_last_reservation_is_over() {
    let fixture = with_a_room().await;
    fixture.confirmed(11, ATTIC).await;
    fixture.confirmed(12, ATTIC).await;
    fixture.completed(11, ATTIC).await;
    assert_eq!(
        status(&fixture).await,
        (RoomStatus::Reserved, "released".into())
    );
    fixture.cancelled(12, ATTIC).await;
    assert_eq!(
        status(&fixture).await,
        (RoomStatus::Available, "released".into())
    );
}

#[tokio::test]
async fn a_requested_cancellation_releases_the_room_once() {
    let fixture = with_a_room().await;
    fixture.confirmed(11, ATTIC).await;
    fixture.cancel_requested(11, ATTIC).await;
    assert_eq!(status(&fixture).await.0, RoomStatus::Available);
    fixture.cancelled(11, ATTIC).await;
    assert_eq!(
        fixture.events(ATTIC).await,
        ["RoomRegistered", "RoomReserved", "RoomReleased"]
    );
}

/// Among more open reservations than a room remembers, the event must name the one that was confirmed.
#[tokio::test]
async fn a_cancellation_releases_the_room_if_it_was_paid_and_is_not_refunded() {
    let fixture = with_a_room().await;
    for reservation in 1000..1070 {
        fixture.confirmed(reservation, ATTIC).await;
    }
    let cancelled = async |reservation: u128, paid: bool, refund: i64| {
        let mut stay = stay(reservation, ATTIC);
        if paid {
            stay.payment_id.clone_from(&stay.reservation_id);
        }
        stay.refund = Some(euros(refund));
        let reservation_cancelled = ReservationCancelled {
            reservation: Some(stay),
        };
        fixture.publish(reservation, reservation_cancelled).await;
        fixture.settle().await;
        let events = fixture.events(ATTIC).await;
        events.last().unwrap().clone()
    };
    assert_eq!(cancelled(2000, false, 0).await, "RoomReserved");
    assert_eq!(cancelled(2001, true, 100).await, "RoomReserved");
    assert_eq!(cancelled(1000, true, 0).await, "RoomReleased");
}

#[tokio::test]
async fn a_cancelled_reservation_that_was_never_confirmed_publishes_nothing() {
    let fixture = with_a_room().await;
    fixture.cancelled(11, ATTIC).await;
    assert_eq!(
        status(&fixture).await,
        (RoomStatus::Available, "registered".into())
    );
    assert_eq!(fixture.events(ATTIC).await, ["RoomRegistered"]);
    assert!(fixture.dead_letters().await.is_empty());
}

#[tokio::test]
async fn repeated_and_late_events_change_nothing() {
    let fixture = with_a_room().await;
    fixture.cancelled(11, ATTIC).await;
    fixture.confirmed(11, ATTIC).await;
    assert_eq!(status(&fixture).await.0, RoomStatus::Available);
    for _ in 0..2 {
        fixture.confirmed(12, ATTIC).await;
    }
    for _ in 0..2 {
        fixture.completed(12, ATTIC).await;
    }
    fixture.confirmed(12, ATTIC).await;
    assert_eq!(
        fixture.events(ATTIC).await,
        ["RoomRegistered", "RoomReserved", "RoomReleased"]
    );
}

#[tokio::test]
async fn a_deleted_room_still_records_reservations_and_reviews() {
    let fixture = with_a_room().await;
    fixture.delete(host(), ATTIC).await.unwrap();
    fixture.confirmed(11, ATTIC).await;
    let event: RoomReserved = fixture.last(ATTIC).await;
    assert_eq!(event.status(), RoomStatus::Deleted);
    assert_eq!(
        status(&fixture).await,
        (RoomStatus::Deleted, "reserved".into())
    );
    fixture.completed(11, ATTIC).await;
    fixture
        .review(GUEST, a_review(11, 5, "Too good to last"))
        .await
        .unwrap();
    fixture.settle().await;
    let room = fixture.get(ATTIC).await.unwrap();
    assert_eq!((room.status(), room.review_count), (RoomStatus::Deleted, 1));
    assert!(fixture.dead_letters().await.is_empty());
}

#[tokio::test]
async fn reservations_of_other_kinds_are_ignored() {
    let fixture = with_a_room().await;
    for kind in [0, 77, -1] {
        let reservation = Some(Reservation {
            kind,
            ..stay(11, ATTIC)
        });
        fixture
            .publish(11, ReservationConfirmed { reservation })
            .await;
    }
    fixture.settle().await;
    assert_eq!(fixture.events(ATTIC).await, ["RoomRegistered"]);
    assert!(fixture.dead_letters().await.is_empty());
}

#[tokio::test]
async fn events_published_while_the_process_was_down_are_applied() {
    let mut fixture = with_a_room().await;
    for reservation in 11..=30 {
        let confirmed = ReservationConfirmed {
            reservation: Some(stay(reservation, ATTIC)),
        };
        fixture.publish(reservation, confirmed).await;
    }
    fixture.restart().await;
    fixture.settle().await;
    assert_eq!(fixture.events(ATTIC).await.len(), 21);
    for reservation in 11..=30 {
        assert_eq!(status(&fixture).await.0, RoomStatus::Reserved);
        fixture.completed(reservation, ATTIC).await;
    }
    assert_eq!(status(&fixture).await.0, RoomStatus::Available);
}

#[tokio::test]
async fn an_event_of_an_unknown_room_is_retried_until_the_room_exists() {
    let fixture = Fixture::new().await;
    fixture.confirmed(11, ATTIC).await;
    let dead_letters = fixture.dead_letters().await;
    assert_eq!(
        (dead_letters.len(), dead_letters[0].reason.as_str()),
        (1, "refused: no such room")
    );
    fixture.register(a_room(ATTIC)).await.unwrap();
    fixture.clock.turn(SignedDuration::from_mins(2));
    fixture.settle().await;
    assert_eq!(status(&fixture).await.0, RoomStatus::Reserved);
    assert!(fixture.dead_letters().await.is_empty());
}

#[tokio::test]
async fn a_malformed_event_blocks_only_its_own_reservation() {
    let fixture = with_a_room().await;
    fixture
        .publish(11, ReservationConfirmed { reservation: None })
        .await;
    let invalid = Some(Reservation {
        offer_id: "no id".into(),
        ..stay(12, ATTIC)
    });
    fixture
        .publish(
            12,
            ReservationConfirmed {
                reservation: invalid,
            },
        )
        .await;
    fixture.confirmed(13, ATTIC).await;
    assert_eq!(status(&fixture).await.0, RoomStatus::Reserved);
    assert_eq!(fixture.dead_letters().await.len(), 2);
}
