//! Responses other than a reservation, and refusals.

use berth::reservation::v1;
use chassis::{
    base::{time, time::SignedDuration},
    error::status::refused,
};
use tonic::Status;

use crate::domain::{availability::Availability, refund::CancellationQuote, refusal::Refusal};

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

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        refused(&refusal)
    }
}
