//! Reactions to the events of a reservation.

use berth::{
    google::r#type as google,
    reservation::v1::{
        ConfirmationMissed, Reservation, ReservationApproved, ReservationCancelRequested,
        ReservationLost,
    },
};
use chassis::{Malformed, Money, Policies, Received, Then, base::time::SignedDuration};

use crate::{
    codec,
    domain::{Command, Method, Order, Payment, PaymentId, Why},
};

pub(crate) fn list() -> Policies {
    Policies::new()
        .whenever("charge-approved", whenever_reservation_approved_charge)
        .whenever("refund-cancelled", whenever_cancel_requested_refund)
        .whenever("refund-unwanted", whenever_confirmation_missed_refund)
        .whenever("refund-lost", whenever_reservation_lost_refund)
}

/// Whenever a host has approved a reservation, charge its price. The job calls the provider at once.
fn whenever_reservation_approved_charge(
    received: Received<ReservationApproved>,
) -> Result<Then<Payment>, Malformed> {
    let reservation = given(received.event.reservation)?;
    let amount = money(reservation.price.as_ref())?;
    if !codec::is_chargeable(amount) {
        return Err(Malformed::because(
            "the price is outside the limits of a charge",
        ));
    }
    let order = Order {
        customer: reservation.customer_id.parse()?,
        host: reservation.host_id.parse()?,
        amount,
        method: Method::new(received.event.payment_method),
    };
    let lead = SignedDuration::ZERO;
    Ok(Then::on(
        reservation.reservation_id.parse()?,
        Command::Request { order, lead },
    ))
}

/// Whenever a paid reservation is cancelled, refund by its terms.
fn whenever_cancel_requested_refund(
    received: Received<ReservationCancelRequested>,
) -> Result<Then<Payment>, Malformed> {
    let reservation = given(received.event.reservation)?;
    let id = payment_of(&reservation)?;
    let refund = Command::Refund {
        why: Why::Cancelled,
        amount: Some(money(received.event.refund.as_ref())?),
    };
    Ok(Then::on(id, refund))
}

/// Whenever a payment arrived for a reservation that no longer awaited it, refund all that is left.
fn whenever_confirmation_missed_refund(
    received: Received<ConfirmationMissed>,
) -> Result<Then<Payment>, Malformed> {
    let id = payment_of(&given(received.event.reservation)?)?;
    let refund = Command::Refund {
        why: Why::Unwanted,
        amount: None,
    };
    Ok(Then::on(id, refund))
}

/// Whenever a payment exists for a reservation that was lost, refund all that is left.
fn whenever_reservation_lost_refund(
    received: Received<ReservationLost>,
) -> Result<Then<Payment>, Malformed> {
    let id = payment_of(&given(received.event.reservation)?)?;
    let refund = Command::Refund {
        why: Why::Unwanted,
        amount: None,
    };
    Ok(Then::on(id, refund))
}

/// The payment of a reservation has its id.
fn payment_of(reservation: &Reservation) -> Result<PaymentId, Malformed> {
    Ok(reservation.reservation_id.parse()?)
}

fn given(reservation: Option<Reservation>) -> Result<Reservation, Malformed> {
    reservation.ok_or_else(|| Malformed::because("no reservation"))
}

fn money(money: Option<&google::Money>) -> Result<Money, Malformed> {
    let money = money.ok_or_else(|| Malformed::because("no amount"))?;
    Ok(Money::try_from(money)?)
}
