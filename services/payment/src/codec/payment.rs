//! A payment as a message of the contract.

use berth::payment::v1;
use chassis::{MemberId, Timestamp, Versioned, base::time};

use crate::domain::{Payment, PaymentId, Requested, Stage};

/// A payment as a message of the contract.
fn to_proto(id: PaymentId, payment: &Requested, version: i64, updated: Timestamp) -> v1::Payment {
    let (reason, reference) = match &payment.stage {
        Stage::Pending(_) => ("", ""),
        Stage::Declined { reason, .. } => (reason.as_str(), ""),
        Stage::Charged { reference, .. } => ("", reference.as_str()),
    };
    v1::Payment {
        payment_id: id.to_string(),
        reservation_id: id.to_string(),
        customer_id: payment.order.customer.to_string(),
        amount: Some(payment.order.amount.into()),
        refunded: Some(payment.refunded().into()),
        status: status(&payment.stage).into(),
        reason: reason.to_owned(),
        provider_reference: reference.to_owned(),
        version,
        create_time: Some(time::to_proto(payment.at)),
        update_time: Some(time::to_proto(updated)),
    }
}

fn status(stage: &Stage) -> v1::PaymentStatus {
    match stage {
        Stage::Pending(_) => v1::PaymentStatus::Pending,
        Stage::Declined { .. } => v1::PaymentStatus::Declined,
        Stage::Charged { refunds, .. } if refunds.is_empty() => v1::PaymentStatus::Paid,
        Stage::Charged { refunds, .. } if refunds.iter().any(|refund| refund.open.is_some()) => {
            v1::PaymentStatus::RefundPending
        }
        Stage::Charged { .. } => v1::PaymentStatus::Refunded,
    }
}

/// A stored payment and its owner, if it was requested.
pub(crate) fn shown(id: PaymentId, stored: &Versioned<Payment>) -> Option<(MemberId, v1::Payment)> {
    let payment = stored.state.requested()?;
    let shown = to_proto(id, payment, stored.version, stored.updated);
    Some((payment.order.customer, shown))
}
