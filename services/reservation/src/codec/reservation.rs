//! A reservation as a message of the contract.

use berth::{offer::v1 as offers, reservation::v1};
use chassis::{ReservationId, Versioned, base::time};

use super::period::period_to_proto;
use crate::domain::{Reservation, status::Status as Stage, terms::OfferKind};

/// A reservation as a message of the contract. The payment method is not part of it.
pub(crate) fn reservation(
    id: ReservationId,
    reservation: &Versioned<Reservation>,
) -> v1::Reservation {
    let Reservation {
        booking, status, ..
    } = &reservation.state;
    let extended = matches!(status, Stage::PaymentPending { .. });
    let held_until = status.held_until().filter(|_| !extended);
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
