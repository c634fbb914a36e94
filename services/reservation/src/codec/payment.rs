//! What a payment tells the reservation that it pays for.

use berth::payment::v1::{Payment, PaymentStatus};
use chassis::{Malformed, Money};

use crate::domain::{Command, lost::Lost};

/// What the answer to a charge tells; nothing if the money is on its way back, and something else was told before.
pub(crate) fn told(payment: &Payment) -> Result<Option<Command>, Malformed> {
    Ok(match payment.status() {
        PaymentStatus::Pending => Some(Command::AwaitPayment),
        PaymentStatus::Paid => Some(confirm(payment)?),
        PaymentStatus::Declined => Some(Command::Decline {
            reason: payment.reason.clone(),
        }),
        PaymentStatus::RefundPending | PaymentStatus::Refunded | PaymentStatus::Unspecified => None,
    })
}

/// It was charged.
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

/// It was charged, and what it was charged for is not there.
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
