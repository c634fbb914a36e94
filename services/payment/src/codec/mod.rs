//! Conversion between the contract and the domain. Every field of a request is validated here, once.

mod events;

use berth::payment::v1;
use chassis::{
    MemberId, Money, Timestamp, Versioned, Violations,
    base::{page, time, time::SignedDuration},
};
use tonic::Status;

pub(crate) use self::events::EVENTS;
use crate::{
    domain::{Command, Method, Notice, Order, Outcome, Payment, PaymentId, Requested, Stage},
    views::Place,
};

/// The most that is charged, in minor units: so the ledger can be added up.
const MOST: i64 = 10_000_000_000_000;

/// Takes a request to charge.
pub(crate) fn charge(
    request: v1::ChargePaymentRequest,
    lead: SignedDuration,
) -> Result<(PaymentId, Command), Status> {
    let mut violations = Violations::new();
    let id = violations.parse("payment_id", &request.payment_id);
    let customer = violations.parse("customer_id", &request.customer_id);
    let host = violations.parse("host_id", &request.host_id);
    let amount = violations.money("amount", request.amount.as_ref());
    if let Some(amount) = amount {
        violations.require(
            is_chargeable(amount),
            "amount",
            "must be more than zero, and no fortune",
        );
    }
    let method = violations.text("payment_method", request.payment_method, 1, 200);
    let parsed = (|| {
        let order = Order {
            customer: customer?,
            host: host?,
            amount: amount?,
            method: Method::new(method?),
        };
        Some((id?, Command::Request { order, lead }))
    })();
    violations.check(parsed)
}

/// Whether so much can be charged.
pub(crate) fn is_chargeable(amount: Money) -> bool {
    (1..=MOST).contains(&amount.minor)
}

/// Takes the id of a payment.
pub(crate) fn payment_id(text: &str) -> Result<PaymentId, Status> {
    let mut violations = Violations::new();
    let id = violations.parse("payment_id", text);
    violations.check(id)
}

/// Takes the id of a payment, or none.
pub(crate) fn optional_payment_id(text: &str) -> Result<Option<PaymentId>, Status> {
    if text.is_empty() {
        Ok(None)
    } else {
        payment_id(text).map(Some)
    }
}

/// Takes a notification whose signature is right.
pub(crate) fn notice(
    request: v1::ReceiveNotificationRequest,
) -> Result<(PaymentId, Notice), Status> {
    let mut violations = Violations::new();
    let id = violations.parse("payment_id", &request.payment_id);
    for (field, text) in [
        ("notification_id", &request.notification_id),
        ("provider_reference", &request.provider_reference),
    ] {
        // What is signed is joined by bars: with more of them it could be taken apart in another way.
        violations.require(!text.contains('|'), field, "must not contain a bar");
    }
    violations.text("notification_id", request.notification_id, 1, 100);
    let reference = violations.text("provider_reference", request.provider_reference, 0, 200);
    let reason = violations.text("reason", request.reason, 0, 200);
    let notice = (|| match request.outcome.as_str() {
        "charged" => Some(Notice::Settled(Outcome::Charged {
            reference: reference?,
        })),
        "declined" => {
            let reason = reason.map(|reason| {
                if reason.is_empty() {
                    "DECLINED".into()
                } else {
                    reason
                }
            });
            Some(Notice::Settled(Outcome::Declined { reason: reason? }))
        }
        "refunded" => Some(Notice::Refunded),
        _ => {
            violations.add("outcome", "must be charged, declined or refunded");
            None
        }
    })();
    violations.check((|| Some((id?, notice?)))())
}

/// Takes after which place payments are listed, and how many.
pub(crate) fn page(request: &v1::ListPaymentsRequest) -> Result<(Option<Place>, i64), Status> {
    let mut violations = Violations::new();
    let size = violations.page_size(request.page_size);
    let after = violations
        .page_token(&request.page_token)
        .and_then(|[at, id]| {
            let micros = violations.parse("page_token", &at)?;
            Some((
                time::from_micros(micros),
                violations.parse("page_token", &id)?,
            ))
        });
    violations.check(size.map(|size| (after, size)))
}

/// The token of the page after a place.
pub(crate) fn token((at, id): &Place) -> String {
    page::token([&time::to_micros(*at).to_string(), &id.to_string()])
}

/// A payment as the contract shows it.
pub(crate) fn to_proto(
    id: PaymentId,
    payment: &Requested,
    version: i64,
    updated: Timestamp,
) -> v1::Payment {
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

/// A stored payment, if it was requested and belongs to somebody.
pub(crate) fn shown(id: PaymentId, stored: &Versioned<Payment>) -> Option<(MemberId, v1::Payment)> {
    let payment = stored.state.requested()?;
    let shown = to_proto(id, payment, stored.version, stored.updated);
    Some((payment.order.customer, shown))
}
