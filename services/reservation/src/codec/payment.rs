//! Commands to a reservation that follow from its payment.

use berth::payment::v1::{Payment, PaymentStatus};
use chassis::{Malformed, Money};

use crate::domain::{Command, lost::Lost};

/// The command that follows from the response to a charge; none if the payment is being refunded.
pub(crate) fn outcome(payment: &Payment) -> Result<Option<Command>, Malformed> {
    Ok(match payment.status() {
        PaymentStatus::Pending => Some(Command::AwaitPayment),
        PaymentStatus::Paid => Some(confirm(payment)?),
        PaymentStatus::Declined => Some(Command::Decline {
            reason: payment.reason.clone(),
        }),
        PaymentStatus::RefundPending | PaymentStatus::Refunded | PaymentStatus::Unspecified => None,
    })
}

/// The payment was charged.
pub(crate) fn confirm(payment: &Payment) -> Result<Command, Malformed> {
    let amount = payment
        .amount
        .as_ref()
        .ok_or_else(|| Malformed::because("no amount"))?;
    Ok(Command::Confirm {
        payment: payment.payment_id.parse()?,
        amount: Money::try_from(amount)?,
    })
}

/// The payment was charged, and its reservation does not exist.
pub(crate) fn lost(payment: &Payment) -> Result<Lost, Malformed> {
    let amount = payment
        .amount
        .as_ref()
        .ok_or_else(|| Malformed::because("no amount"))?;
    Ok(Lost {
        customer: payment.customer_id.parse()?,
        price: Money::try_from(amount)?,
        payment: payment.payment_id.parse()?,
    })
}
