//! What a reservation does whenever a payment has moved on. Events may come before, after or instead of the answer to
//! the charge; the domain takes them in any order.

use berth::payment::v1::{
    Payment, PaymentApproved, PaymentCancelled, PaymentDeclined, PaymentDelayed,
};
use chassis::{Malformed, Policies, Received, Then};

use crate::{
    codec,
    domain::{Command, Reservation, lost::Lost},
};

/// The policies. Their names are kept in the store and never change.
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

/// Whenever a payment is approved, the reservation it pays for is confirmed, or says that it no longer wants it. If there is
/// none it was lost, and that is said.
fn whenever_payment_approved_confirm(
    heard: Received<PaymentApproved>,
) -> Result<Then<Reservation>, Malformed> {
    let payment = told(heard.event.payment)?;
    let id = payment.reservation_id.parse()?;
    let then = Then::on(id, codec::confirm(&payment)?);
    // Nothing is paid that was not requested before.
    Ok(then.if_lost::<Lost>(id, codec::lost(&payment)?))
}

/// Whenever a payment is declined, the reservation is rejected.
fn whenever_payment_declined_decline(
    heard: Received<PaymentDeclined>,
) -> Result<Then<Reservation>, Malformed> {
    let payment = told(heard.event.payment)?;
    let decline = Command::Decline {
        reason: payment.reason,
    };
    Ok(Then::on(payment.reservation_id.parse()?, decline))
}

/// Whenever a payment takes longer, the hold is frozen until its outcome is known.
fn whenever_payment_delayed_await_payment(
    heard: Received<PaymentDelayed>,
) -> Result<Then<Reservation>, Malformed> {
    let payment = told(heard.event.payment)?;
    Ok(Then::on(
        payment.reservation_id.parse()?,
        Command::AwaitPayment,
    ))
}

/// Whenever a payment has been refunded, the cancellation that asked for it is finished.
fn whenever_payment_cancelled_finish_cancellation(
    heard: Received<PaymentCancelled>,
) -> Result<Then<Reservation>, Malformed> {
    let payment = told(heard.event.payment)?;
    let refunded = Command::Refunded {
        payment: payment.payment_id.parse()?,
    };
    Ok(Then::on(payment.reservation_id.parse()?, refunded))
}

fn told(payment: Option<Payment>) -> Result<Payment, Malformed> {
    payment.ok_or_else(|| Malformed::because("no payment"))
}
