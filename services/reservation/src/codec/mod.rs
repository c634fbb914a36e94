//! Conversion between the contracts and the domain. Every field of a request is validated here, once.

mod events;
mod list;
mod offer;
mod payment;
mod restore;

use berth::{
    offer::v1::{self as offers, period::Kind},
    reservation::v1,
};
use chassis::{
    Caller, OfferId, ReservationId, Versioned, Violations,
    base::{time, time::SignedDuration},
    error::status::refused,
};
use tonic::Status;

pub(crate) use self::{
    events::{CarriesReservation, EVENTS, entry},
    list::{listing, page},
    offer::terms,
    payment::{confirm, lost, outcome},
};
use crate::domain::{
    Actor, Command, Reservation,
    availability::Availability,
    booking::{BookingRequest, PaymentMethod},
    period::Period,
    refund::CancellationQuote,
    refusal::Refusal,
    status::Status as Stage,
    terms::OfferKind,
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

fn period(wrong: &mut Violations, period: Option<&offers::Period>) -> Option<Period> {
    match period.and_then(|period| period.kind.as_ref()) {
        None => {
            wrong.add("period", "must be given");
            None
        }
        Some(Kind::Dates(dates)) => {
            let start = wrong.date("period.dates.start_date", dates.start_date.as_ref());
            let end = wrong.date("period.dates.end_date", dates.end_date.as_ref());
            let period = Period::dates(start?, end?);
            period
                .map_err(|error| wrong.add("period.dates", error.to_string()))
                .ok()
        }
        Some(Kind::Times(times)) => {
            let start = wrong.timestamp("period.times.start_time", times.start_time.as_ref());
            let end = wrong.timestamp("period.times.end_time", times.end_time.as_ref());
            let period = Period::times(start?, end?);
            period
                .map_err(|error| wrong.add("period.times", error.to_string()))
                .ok()
        }
    }
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

/// A reservation as a message of the contract. The payment method is not part of it.
pub(crate) fn reservation(
    id: ReservationId,
    reservation: &Versioned<Reservation>,
) -> v1::Reservation {
    let Reservation {
        booking, status, ..
    } = &reservation.state;
    let frozen = matches!(status, Stage::PaymentPending { .. });
    let held_until = status.held_until().filter(|_| !frozen);
    let number = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    v1::Reservation {
        reservation_id: id.to_string(),
        offer_id: booking.request.offer.to_string(),
        kind: kind(booking.kind).into(),
        title: booking.title.clone(),
        customer_id: booking.request.customer.to_string(),
        host_id: booking.host.to_string(),
        period: Some(period_to_proto(&booking.request.period)),
        quantity: number(booking.request.quantity),
        persons: number(booking.request.persons),
        units: booking
            .unit_numbers
            .iter()
            .map(|unit| number(*unit))
            .collect(),
        price: Some(booking.price.into()),
        status: stage(status).into(),
        reason: reason(status),
        payment_id: status
            .payment()
            .map(|payment| payment.to_string())
            .unwrap_or_default(),
        hold_expire_time: held_until.map(|(until, _)| time::to_proto(until)),
        refund: status.refund().map(Into::into),
        start_time: Some(time::to_proto(booking.stay.start)),
        end_time: Some(time::to_proto(booking.stay.end)),
        version: reservation.version,
        create_time: Some(time::to_proto(reservation.created)),
        update_time: Some(time::to_proto(reservation.updated)),
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        refused(&refusal)
    }
}

fn kind(kind: OfferKind) -> offers::OfferKind {
    match kind {
        OfferKind::Room => offers::OfferKind::Room,
    }
}

fn stage(status: &Stage) -> v1::ReservationStatus {
    match status {
        Stage::Requested { .. } => v1::ReservationStatus::Requested,
        Stage::PendingApproval { .. } => v1::ReservationStatus::PendingApproval,
        Stage::Approved { .. } => v1::ReservationStatus::Approved,
        Stage::PaymentPending { .. } => v1::ReservationStatus::PaymentPending,
        Stage::Confirmed { .. } => v1::ReservationStatus::Confirmed,
        Stage::Rejected { .. } => v1::ReservationStatus::Rejected,
        Stage::Lapsed { .. } => v1::ReservationStatus::Lapsed,
        Stage::CancelRequested { .. } => v1::ReservationStatus::CancelRequested,
        Stage::Cancelled { .. } => v1::ReservationStatus::Cancelled,
        Stage::Completed { .. } => v1::ReservationStatus::Completed,
    }
}

fn reason(status: &Stage) -> String {
    match status {
        Stage::Rejected { why } => why.to_string(),
        Stage::Lapsed { why } => why.to_string(),
        Stage::CancelRequested { reason, .. } | Stage::Cancelled { reason, .. } => reason.clone(),
        _ => String::new(),
    }
}

fn period_to_proto(period: &Period) -> offers::Period {
    let kind = match *period {
        Period::Dates { start, end } => Kind::Dates(offers::DateRange {
            start_date: Some(time::date_to_proto(start)),
            end_date: Some(time::date_to_proto(end)),
        }),
        Period::Times { start, end } => Kind::Times(offers::TimeRange {
            start_time: Some(time::to_proto(start)),
            end_time: Some(time::to_proto(end)),
        }),
    };
    offers::Period { kind: Some(kind) }
}

/// The response to a request, with the delay after which to pay if the charge did not succeed at once.
pub(crate) fn requested(
    reservation: v1::Reservation,
    pay_again: Option<SignedDuration>,
) -> v1::RequestReservationResponse {
    v1::RequestReservationResponse {
        reservation: Some(reservation),
        retry_delay: pay_again.map(time::duration_to_proto),
    }
}

/// The quote of a cancellation.
pub(crate) fn cancellation_quote(quote: &CancellationQuote) -> v1::QuoteCancellationResponse {
    v1::QuoteCancellationResponse {
        refund: Some(quote.refund.into()),
        fee: Some(quote.fee.into()),
        valid_until: quote.valid_until.map(time::to_proto),
    }
}

/// The availability as a message of the contract.
pub(crate) fn availability(availability: &Availability) -> v1::GetAvailabilityResponse {
    let refusal = availability.refusal.as_ref();
    v1::GetAvailabilityResponse {
        free: i32::try_from(availability.free).unwrap_or(i32::MAX),
        price: Some(availability.price.into()),
        reason: refusal
            .map(|refusal| chassis::Refused::reason(refusal).to_owned())
            .unwrap_or_default(),
    }
}
