//! Parses requests.

use berth::reservation::v1;
use chassis::{Caller, OfferId, ReservationId, Violations};
use tonic::Status;

use super::period::period;
use crate::domain::{
    Actor, Command,
    booking::{BookingRequest, PaymentMethod},
    period::Period,
};

/// A booking request and its id.
pub(crate) fn booking_request(
    request: v1::RequestReservationRequest,
) -> Result<(ReservationId, BookingRequest), Status> {
    let mut wrong = Violations::new();
    let id = wrong.parse("reservation_id", &request.reservation_id);
    let offer = wrong.parse("offer_id", &request.offer_id);
    let customer = wrong.parse("customer_id", &request.customer_id);
    let period = period(&mut wrong, request.period.as_ref());
    let quantity = quantity(&mut wrong, request.quantity, period);
    let persons = count(&mut wrong, "persons", request.persons, 1000);
    let payment_method = wrong.text("payment_method", request.payment_method, 1, 200);
    let all = (|| {
        let booking_request = BookingRequest {
            offer: offer?,
            customer: customer?,
            period: period?,
            quantity: quantity?,
            persons: persons?,
            payment_method: PaymentMethod(payment_method?),
        };
        Some((id?, booking_request))
    })();
    wrong.check(all)
}

/// The offer, period and quantity whose availability is asked for.
pub(crate) fn availability_of(
    request: &v1::GetAvailabilityRequest,
) -> Result<(OfferId, Period, u32), Status> {
    let mut wrong = Violations::new();
    let offer = wrong.parse("offer_id", &request.offer_id);
    let period = period(&mut wrong, request.period.as_ref());
    let quantity = quantity(&mut wrong, request.quantity, period);
    wrong.check(
        offer
            .zip(period)
            .zip(quantity)
            .map(|((offer, period), quantity)| (offer, period, quantity)),
    )
}

/// The id of a reservation.
pub(crate) fn id(text: &str) -> Result<ReservationId, Status> {
    let mut wrong = Violations::new();
    let id = wrong.parse("reservation_id", text);
    wrong.check(id)
}

/// The rejection by a host.
pub(crate) fn reject(
    request: v1::RejectReservationRequest,
    by: Actor,
) -> Result<(ReservationId, Command), Status> {
    let mut wrong = Violations::new();
    let id = wrong.parse("reservation_id", &request.reservation_id);
    let reason = wrong.text("reason", request.reason, 0, 500);
    wrong.check(
        id.zip(reason)
            .map(|(id, reason)| (id, Command::Reject { by, reason })),
    )
}

/// A cancellation.
pub(crate) fn cancel(
    request: v1::CancelReservationRequest,
    by: Actor,
) -> Result<(ReservationId, Command), Status> {
    let mut wrong = Violations::new();
    let id = wrong.parse("reservation_id", &request.reservation_id);
    let reason = wrong.text("reason", request.reason, 0, 500);
    let expected = request.expected_refund;
    let expected_refund = expected.and_then(|money| wrong.money("expected_refund", Some(&money)));
    wrong.check(id.zip(reason).map(|(id, reason)| {
        (
            id,
            Command::Cancel {
                by,
                reason,
                expected_refund,
            },
        )
    }))
}

/// The actor of a command.
pub(crate) fn actor(caller: &Caller) -> Result<Actor, Status> {
    Ok(Actor {
        member: caller.member()?,
        operator: caller.is_admin(),
    })
}

fn quantity(wrong: &mut Violations, quantity: i32, period: Option<Period>) -> Option<u32> {
    let quantity = count(wrong, "quantity", quantity, 100)?;
    let fits = period.is_none_or(|period| period.fits(quantity));
    wrong.require(fits, "quantity", "must be lower for so long a period");
    Some(quantity)
}

/// How many of something; 0 means 1.
fn count(wrong: &mut Violations, field: &str, count: i32, max: i32) -> Option<u32> {
    let count = wrong.range(field, count, 0, max)?;
    u32::try_from(count.max(1)).ok()
}
