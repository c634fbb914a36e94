//! What happens in this context whenever something has happened.

use berth::{
    offer::v1::OfferKind,
    reservation::v1::{
        Reservation, ReservationCancelRequested, ReservationCancelled, ReservationCompleted,
        ReservationConfirmed,
    },
    room::v1::{ReviewCreated, ReviewDeleted, ReviewModified},
};
use chassis::{Malformed, Policies, Received, ReservationId, Then};

use crate::domain::{
    Review, Room, RoomId,
    review::{self, Rating, Stay},
    room::{self, Opinion},
};

pub(crate) fn list() -> Policies {
    Policies::new()
        .whenever(
            "reserve-confirmed",
            whenever_reservation_confirmed_reserve_room,
        )
        .whenever(
            "release-given-up",
            whenever_reservation_cancel_requested_release_room,
        )
        .whenever(
            "release-cancelled",
            whenever_reservation_cancelled_release_room,
        )
        .whenever(
            "release-completed",
            whenever_reservation_completed_release_room,
        )
        .whenever(
            "invite-review",
            whenever_reservation_completed_invite_review,
        )
        .whenever("count-review", whenever_review_created_count_it)
        .whenever("count-modified-review", whenever_review_modified_count_it)
        .whenever("count-deleted-review", whenever_review_deleted_count_it)
}

/// Whenever a reservation of a room is confirmed, it takes the room.
fn whenever_reservation_confirmed_reserve_room(
    heard: Received<ReservationConfirmed>,
) -> Result<Then<Room>, Malformed> {
    on_room(heard.event.reservation, room::Command::Reserve)
}

/// Whenever a reservation of a room is given up, the room is free, whatever becomes of the refund.
fn whenever_reservation_cancel_requested_release_room(
    heard: Received<ReservationCancelRequested>,
) -> Result<Then<Room>, Malformed> {
    on_room(heard.event.reservation, room::Command::Release)
}

/// Whenever a reservation of a room is cancelled, the room is free.
fn whenever_reservation_cancelled_release_room(
    heard: Received<ReservationCancelled>,
) -> Result<Then<Room>, Malformed> {
    on_room(heard.event.reservation, room::Command::Release)
}

/// Whenever a stay is over, the room is free.
fn whenever_reservation_completed_release_room(
    heard: Received<ReservationCompleted>,
) -> Result<Then<Room>, Malformed> {
    on_room(heard.event.reservation, room::Command::Release)
}

/// Whenever a stay is over, its guest may review it.
fn whenever_reservation_completed_invite_review(
    heard: Received<ReservationCompleted>,
) -> Result<Then<Review>, Malformed> {
    let Some(reservation) = of_room(heard.event.reservation)? else {
        return Ok(Then::nothing());
    };
    let stay = Stay {
        room: reservation.offer_id.parse()?,
        guest: reservation.customer_id.parse()?,
    };
    let invite = review::Command::Invite(stay);
    Ok(Then::on(reservation.reservation_id.parse()?, invite))
}

/// Whenever a review is written, its room counts it.
fn whenever_review_created_count_it(
    heard: Received<ReviewCreated>,
) -> Result<Then<Room>, Malformed> {
    let (id, version) = (heard.subject.parse()?, heard.version);
    let review = heard.event.review.ok_or_else(|| missing("review"))?;
    let is = Some(rating(review.rating)?);
    count(
        &review.room_id,
        Opinion {
            review: id,
            version,
            was: None,
            is,
        },
    )
}

/// Whenever a review is modified, its room counts it anew.
fn whenever_review_modified_count_it(
    heard: Received<ReviewModified>,
) -> Result<Then<Room>, Malformed> {
    let (id, version) = (heard.subject.parse()?, heard.version);
    let review = heard.event.review.ok_or_else(|| missing("review"))?;
    let was = Some(rating(heard.event.previous_rating)?);
    let is = Some(rating(review.rating)?);
    count(
        &review.room_id,
        Opinion {
            review: id,
            version,
            was,
            is,
        },
    )
}

/// Whenever a review is deleted, its room no longer counts it.
fn whenever_review_deleted_count_it(
    heard: Received<ReviewDeleted>,
) -> Result<Then<Room>, Malformed> {
    let (id, version) = (heard.subject.parse()?, heard.version);
    let deleted = heard.event;
    let was = Some(rating(deleted.rating)?);
    count(
        &deleted.room_id,
        Opinion {
            review: id,
            version,
            was,
            is: None,
        },
    )
}

fn on_room(
    reservation: Option<Reservation>,
    command: fn(ReservationId) -> room::Command,
) -> Result<Then<Room>, Malformed> {
    let Some(reservation) = of_room(reservation)? else {
        return Ok(Then::nothing());
    };
    let room = reservation.offer_id.parse()?;
    Ok(Then::on(room, command(reservation.reservation_id.parse()?)))
}

/// The reservation, if it is one of a room.
fn of_room(reservation: Option<Reservation>) -> Result<Option<Reservation>, Malformed> {
    let reservation = reservation.ok_or_else(|| missing("reservation"))?;
    Ok(Some(reservation).filter(|reservation| reservation.kind() == OfferKind::Room))
}

fn count(room: &str, opinion: Opinion) -> Result<Then<Room>, Malformed> {
    let room: RoomId = room.parse()?;
    Ok(Then::on(room, room::Command::Count(opinion)))
}

fn rating(rating: i32) -> Result<Rating, Malformed> {
    Rating::new(rating).ok_or_else(|| Malformed::because("no rating"))
}

fn missing(what: &str) -> Malformed {
    Malformed::because(format!("no {what}"))
}
