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
    views::Position,
};

/// The greatest amount of a charge, in minor units, so that the sums of the ledger do not overflow.
const MOST: i64 = 10_000_000_000_000;

/// Parses a request to charge.
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
            "must be between 1 and 10^13 minor units",
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

/// Whether an amount is within the limits of a charge.
pub(crate) fn is_chargeable(amount: Money) -> bool {
    (1..=MOST).contains(&amount.minor)
}

/// Parses the id of a payment.
pub(crate) fn payment_id(text: &str) -> Result<PaymentId, Status> {
    let mut violations = Violations::new();
    let id = violations.parse("payment_id", text);
    violations.check(id)
}

/// Parses the id of a payment; empty means none.
pub(crate) fn optional_payment_id(text: &str) -> Result<Option<PaymentId>, Status> {
    if text.is_empty() {
        Ok(None)
    } else {
        payment_id(text).map(Some)
    }
}

/// Parses a notification whose signature has been verified.
pub(crate) fn notice(
    request: v1::ReceiveNotificationRequest,
) -> Result<(PaymentId, Notice), Status> {
    let mut violations = Violations::new();
    let id = violations.parse("payment_id", &request.payment_id);
    for (field, text) in [
        ("notification_id", &request.notification_id),
        ("provider_reference", &request.provider_reference),
    ] {
        // The signed fields are joined by bars: with a bar inside, one signature would fit several notifications.
        violations.require(!text.contains('|'), field, "must not contain '|'");
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

/// Parses the position after which payments are listed, and the page size.
pub(crate) fn page(request: &v1::ListPaymentsRequest) -> Result<(Option<Position>, i64), Status> {
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

/// The token of the page after a position.
pub(crate) fn token((at, id): &Position) -> String {
    page::token([&time::to_micros(*at).to_string(), &id.to_string()])
}

/// A payment as a message of the contract.
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

/// A stored payment and its owner, if it was requested.
pub(crate) fn shown(id: PaymentId, stored: &Versioned<Payment>) -> Option<(MemberId, v1::Payment)> {
    let payment = stored.state.requested()?;
    let shown = to_proto(id, payment, stored.version, stored.updated);
    Some((payment.order.customer, shown))
}
