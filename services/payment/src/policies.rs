//! What payment does whenever something has happened to a reservation.

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

/// Whenever a host has approved a reservation, charge its price. The job asks the provider at once.
fn whenever_reservation_approved_charge(
    heard: Received<ReservationApproved>,
) -> Result<Then<Payment>, Malformed> {
    let reservation = given(heard.event.reservation)?;
    let amount = money(reservation.price.as_ref())?;
    if !codec::is_chargeable(amount) {
        return Err(Malformed::because("no price that can be charged"));
    }
    let order = Order {
        customer: reservation.customer_id.parse()?,
        host: reservation.host_id.parse()?,
        amount,
        method: Method::new(heard.event.payment_method),
    };
    let lead = SignedDuration::ZERO;
    Ok(Then::on(
        reservation.reservation_id.parse()?,
        Command::Request { order, lead },
    ))
}

/// Whenever a paid reservation is given up, refund what the terms say.
fn whenever_cancel_requested_refund(
    heard: Received<ReservationCancelRequested>,
) -> Result<Then<Payment>, Malformed> {
    let reservation = given(heard.event.reservation)?;
    let id = payment_of(&reservation)?;
    let refund = Command::Refund {
        why: Why::Cancelled,
        amount: Some(money(heard.event.refund.as_ref())?),
    };
    Ok(Then::on(id, refund))
}

/// Whenever a payment came for a reservation that no longer wanted it, refund all that is left.
fn whenever_confirmation_missed_refund(
    heard: Received<ConfirmationMissed>,
) -> Result<Then<Payment>, Malformed> {
    let id = payment_of(&given(heard.event.reservation)?)?;
    let refund = Command::Refund {
        why: Why::Unwanted,
        amount: None,
    };
    Ok(Then::on(id, refund))
}

/// Whenever a payment came for a reservation that was lost, refund all that is left.
fn whenever_reservation_lost_refund(
    heard: Received<ReservationLost>,
) -> Result<Then<Payment>, Malformed> {
    let id = payment_of(&given(heard.event.reservation)?)?;
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
