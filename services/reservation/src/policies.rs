//! Reactions to the events of a payment. They may arrive before, after or instead of the response to the charge; the
//! domain applies them in any order.

use berth::payment::v1::{
    Payment, PaymentApproved, PaymentCancelled, PaymentDeclined, PaymentDelayed,
};
use chassis::{Malformed, Policies, Received, Then};

use crate::{
    codec,
    domain::{Command, Reservation, lost::Lost},
};

/// The policies. Their names are stored and never change.
pub(crate) fn list() -> Policies {
    Policies::new()
        .whenever("confirm", whenever_payment_approved_confirm)
        .whenever("decline", whenever_payment_declined_decline)
        .whenever("await-payment", whenever_payment_delayed_await_payment)
        .whenever(
            "finish-cancellation",
            whenever_payment_cancelled_finish_cancellation,
        )
}

/// Whenever a payment is approved, its reservation is confirmed, or records that it no longer awaits a payment. If the
/// reservation does not exist it was lost, and `ReservationLost` is published.
fn whenever_payment_approved_confirm(
    received: Received<PaymentApproved>,
) -> Result<Then<Reservation>, Malformed> {
    let payment = payment_of(received.event.payment)?;
    let id = payment.reservation_id.parse()?;
    let then = Then::on(id, codec::confirm(&payment)?);
    // A payment exists only for a reservation that was requested.
    Ok(then.if_lost::<Lost>(id, codec::lost(&payment)?))
}

/// Whenever a payment is declined, the reservation is rejected.
fn whenever_payment_declined_decline(
    received: Received<PaymentDeclined>,
) -> Result<Then<Reservation>, Malformed> {
    let payment = payment_of(received.event.payment)?;
    let decline = Command::Decline {
        reason: payment.reason,
    };
    Ok(Then::on(payment.reservation_id.parse()?, decline))
}

/// Whenever a payment is delayed, the hold is extended until its outcome is known, by a day at most.
fn whenever_payment_delayed_await_payment(
    received: Received<PaymentDelayed>,
) -> Result<Then<Reservation>, Malformed> {
    let payment = payment_of(received.event.payment)?;
    Ok(Then::on(
        payment.reservation_id.parse()?,
        Command::AwaitPayment,
    ))
}

/// Whenever a payment has been refunded, the cancellation that asked for it is finished.
fn whenever_payment_cancelled_finish_cancellation(
    received: Received<PaymentCancelled>,
) -> Result<Then<Reservation>, Malformed> {
    let payment = payment_of(received.event.payment)?;
    let refunded = Command::Refunded {
        payment: payment.payment_id.parse()?,
    };
    Ok(Then::on(payment.reservation_id.parse()?, refunded))
}

fn payment_of(payment: Option<Payment>) -> Result<Payment, Malformed> {
    payment.ok_or_else(|| Malformed::because("no payment"))
}
