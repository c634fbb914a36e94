//! Reactions to events: whenever an event has happened, a command on a room or a review.

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
    Review, Room,
    review::{self, Rating, Stay},
    room::{self, RatingChange},
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
        .whenever("count-review", whenever_review_created_count_rating)
        .whenever(
            "count-modified-review",
            whenever_review_modified_count_rating,
        )
        .whenever("count-deleted-review", whenever_review_deleted_count_rating)
}

fn whenever_reservation_confirmed_reserve_room(
    received: Received<ReservationConfirmed>,
) -> Result<Then<Room>, Malformed> {
    on_room(received.event.reservation, room::Command::Reserve)
}

/// The room is released as soon as cancellation is requested, whatever the result of the refund.
fn whenever_reservation_cancel_requested_release_room(
    received: Received<ReservationCancelRequested>,
) -> Result<Then<Room>, Malformed> {
    on_room(received.event.reservation, room::Command::Release)
}

/// A paid reservation without a refund is cancelled at once. Any other was released when its cancellation was requested, or
/// was never confirmed.
fn whenever_reservation_cancelled_release_room(
    received: Received<ReservationCancelled>,
) -> Result<Then<Room>, Malformed> {
    let reservation = received.event.reservation;
    let at_once = reservation.as_ref().is_some_and(|reservation| {
        let refund = reservation.refund.as_ref();
        let refunds = refund.is_some_and(|refund| refund.units > 0 || refund.nanos > 0);
        !reservation.payment_id.is_empty() && !refunds
    });
    let command = if at_once {
        room::Command::Release
    } else {
        room::Command::Forgo
    };
    on_room(reservation, command)
}

fn whenever_reservation_completed_release_room(
    received: Received<ReservationCompleted>,
) -> Result<Then<Room>, Malformed> {
    on_room(received.event.reservation, room::Command::Release)
}

fn whenever_reservation_completed_invite_review(
    received: Received<ReservationCompleted>,
) -> Result<Then<Review>, Malformed> {
    let Some(reservation) = of_room(received.event.reservation)? else {
        return Ok(Then::nothing());
    };
    let invite = review::Command::Invite(Stay {
        room: reservation.offer_id.parse()?,
        guest: reservation.customer_id.parse()?,
    });
    Ok(Then::on(reservation.reservation_id.parse()?, invite))
}

fn whenever_review_created_count_rating(
    received: Received<ReviewCreated>,
) -> Result<Then<Room>, Malformed> {
    let review = received.event.review.ok_or_else(|| missing("review"))?;
    let change = RatingChange {
        review: received.subject.parse()?,
        version: received.version,
        before: None,
        after: Some(rating(review.rating)?),
    };
    count(&review.room_id, change)
}

fn whenever_review_modified_count_rating(
    received: Received<ReviewModified>,
) -> Result<Then<Room>, Malformed> {
    let review = received.event.review.ok_or_else(|| missing("review"))?;
    let change = RatingChange {
        review: received.subject.parse()?,
        version: received.version,
        before: Some(rating(received.event.previous_rating)?),
        after: Some(rating(review.rating)?),
    };
    count(&review.room_id, change)
}

fn whenever_review_deleted_count_rating(
    received: Received<ReviewDeleted>,
) -> Result<Then<Room>, Malformed> {
    let deleted = received.event;
    let change = RatingChange {
        review: received.subject.parse()?,
        version: received.version,
        before: Some(rating(deleted.rating)?),
        after: None,
    };
    count(&deleted.room_id, change)
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

/// The reservation of an event, if it is a reservation of a room.
fn of_room(reservation: Option<Reservation>) -> Result<Option<Reservation>, Malformed> {
    let reservation = reservation.ok_or_else(|| missing("reservation"))?;
    Ok(Some(reservation).filter(|reservation| reservation.kind() == OfferKind::Room))
}

fn count(room_id: &str, change: RatingChange) -> Result<Then<Room>, Malformed> {
    Ok(Then::on(
        room_id.parse()?,
        room::Command::CountReview(change),
    ))
}

fn rating(rating: i32) -> Result<Rating, Malformed> {
    Rating::new(rating).ok_or_else(|| Malformed::because("the rating is not 1 to 5"))
}

fn missing(what: &str) -> Malformed {
    Malformed::because(format!("no {what}"))
}
