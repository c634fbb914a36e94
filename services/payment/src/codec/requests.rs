//! Parses requests and page tokens.

use berth::payment::v1;
use chassis::{
    Money, Violations,
    base::{page, time, time::SignedDuration},
};
use tonic::Status;

use crate::{
    domain::{Command, Method, Notice, Order, Outcome, PaymentId},
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
