//! S13: what the provider reports by itself, early, late, twice, wrongly or falsely.

use berth::payment::v1::{PaymentStatus, ReceiveNotificationRequest};
use chassis::{Caller, ReservationId, base::time::SignedDuration, error::status::reason_of};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tonic::{Code, Status};

use crate::bench::{Bench, SECRET, of, payment};

pub(crate) fn notification(id: ReservationId, outcome: &str) -> ReceiveNotificationRequest {
    signed(ReceiveNotificationRequest {
        notification_id: format!("n-{outcome}"),
        payment_id: id.to_string(),
        outcome: outcome.into(),
        provider_reference: "ref".into(),
        reason: String::new(),
        signature: String::new(),
    })
}

fn signed(mut notification: ReceiveNotificationRequest) -> ReceiveNotificationRequest {
    let text = format!(
        "{}|{}|{}|{}|{}",
        notification.notification_id,
        notification.payment_id,
        notification.outcome,
        notification.provider_reference,
        notification.reason
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    let bytes = mac.finalize().into_bytes();
    notification.signature = format!("{bytes:x}");
    notification
}

pub(crate) async fn send(
    bench: &Bench,
    notification: ReceiveNotificationRequest,
) -> Result<(), Status> {
    let request = of(Caller::default(), notification);
    bench.client().receive_notification(request).await?;
    Ok(())
}

#[tokio::test]
async fn a_notification_without_a_valid_signature_is_refused() {
    let bench = Bench::new().await;
    let id = payment(1);
    bench.charge(id, "tok_timeout_before").await.unwrap();
    let good = notification(id, "charged");
    let mut wrong = vec![ReceiveNotificationRequest::default()];
    for signature in [
        "",
        "00",
        "zz",
        "é",
        &good.signature[2..],
        &format!("{}00", good.signature),
    ] {
        wrong.push(ReceiveNotificationRequest {
            signature: signature.into(),
            ..good.clone()
        });
    }
    for change in [
        |n: &mut ReceiveNotificationRequest| n.notification_id.push('x'),
        |n: &mut ReceiveNotificationRequest| n.payment_id = payment(2).to_string(),
        |n: &mut ReceiveNotificationRequest| n.outcome = "declined".into(),
        |n: &mut ReceiveNotificationRequest| n.provider_reference.clear(),
        |n: &mut ReceiveNotificationRequest| n.reason.push('x'),
    ] {
        let mut changed = good.clone();
        change(&mut changed);
        wrong.push(changed);
    }
    for wrong in wrong {
        let refused = send(&bench, wrong).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert_eq!(reason_of(&refused).unwrap(), "SIGNATURE_INVALID");
    }
    assert_eq!(bench.status(id).await, PaymentStatus::Pending);
    send(&bench, good).await.unwrap();
    assert_eq!(bench.status(id).await, PaymentStatus::Paid);
}

#[tokio::test]
async fn a_signed_notification_is_validated() {
    let bench = Bench::new().await;
    let good = notification(payment(1), "charged");
    let mut bars = good.clone();
    bars.notification_id = "a|b".into();
    let mut long = good.clone();
    long.notification_id = "x".repeat(101);
    let mut empty = good.clone();
    empty.notification_id.clear();
    let mut id = good;
    id.payment_id = "1".into();
    for wrong in [bars, long, empty, id, notification(payment(1), "eaten")] {
        let refused = send(&bench, signed(wrong)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
}

/// Scenario: S13.
#[tokio::test]
async fn a_notification_before_the_response_repeated_and_late_has_one_effect() {
    let bench = Bench::new().await;
    let id = payment(1);
    let pending = bench.charge(id, "tok_timeout_after").await.unwrap();
    assert_eq!(pending.status(), PaymentStatus::Pending);
    let charged = notification(id, "charged");
    send(&bench, charged.clone()).await.unwrap();
    assert_eq!(bench.status(id).await, PaymentStatus::Paid);
    send(&bench, charged.clone()).await.unwrap();
    bench.rest().await;
    send(&bench, charged).await.unwrap();
    let paid = bench.charge(id, "tok_timeout_after").await.unwrap();
    assert_eq!(paid.status(), PaymentStatus::Paid);
    assert_eq!(
        bench.events(id).await,
        ["PaymentDelayed", "PaymentApproved"]
    );
    bench.check(id, true).await;
}

/// Scenario: S13.
#[tokio::test]
async fn a_notification_of_an_unknown_payment_is_kept_for_it() {
    let bench = Bench::new().await;
    let id = payment(1);
    send(&bench, notification(id, "declined")).await.unwrap();
    send(&bench, notification(id, "declined")).await.unwrap();
    assert_eq!(bench.get(id).await.unwrap_err().code(), Code::NotFound);
    let declined = bench.charge(id, "tok_approved").await.unwrap();
    assert_eq!(declined.status(), PaymentStatus::Declined);
    assert_eq!(declined.reason, "DECLINED");
    bench.rest().await;
    bench.check(id, true).await;
}

/// Scenario: S13.
#[tokio::test]
async fn a_notification_of_a_payment_that_is_never_requested_expires() {
    let bench = Bench::new().await;
    let id = payment(1);
    send(&bench, notification(id, "charged")).await.unwrap();
    let held = bench.site.deps.store.claims().await.unwrap();
    assert_eq!(held.len(), 1);
    bench.clock.turn(SignedDuration::from_hours(24));
    bench.rest().await;
    assert_eq!(bench.site.deps.store.claims().await.unwrap(), []);
    assert_eq!(bench.events(id).await, [""; 0]);
    // A refund of what is not known leaves nothing behind.
    send(&bench, notification(payment(2), "refunded"))
        .await
        .unwrap();
    assert_eq!(bench.site.deps.store.claims().await.unwrap(), []);
}

#[tokio::test]
async fn a_notification_that_contradicts_a_charge_is_ignored() {
    let bench = Bench::new().await;
    let id = payment(1);
    bench.charge(id, "tok_approved").await.unwrap();
    send(&bench, notification(id, "declined")).await.unwrap();
    send(&bench, notification(id, "refunded")).await.unwrap();
    bench.rest().await;
    assert_eq!(bench.status(id).await, PaymentStatus::Paid);
    bench.check(id, true).await;
}

#[tokio::test]
async fn a_charge_notified_after_a_decline_is_refunded() {
    let bench = Bench::new().await;
    let id = payment(1);
    // The answer is lost, and a wrong notification says that nothing was charged.
    bench.charge(id, "tok_timeout_after").await.unwrap();
    send(&bench, notification(id, "declined")).await.unwrap();
    assert_eq!(bench.status(id).await, PaymentStatus::Declined);
    send(&bench, notification(id, "charged")).await.unwrap();
    send(&bench, notification(id, "charged")).await.unwrap();
    assert_eq!(bench.status(id).await, PaymentStatus::RefundPending);
    // The reservation finds it unwanted as well.
    bench.publish_missed(id).await;
    bench.rest().await;
    assert_eq!(bench.status(id).await, PaymentStatus::Refunded);
    assert_eq!(bench.provider_ledger(id).await.refunded(), 10_000);
    let events = [
        "PaymentDelayed",
        "PaymentDeclined",
        "PaymentApproved",
        "PaymentCancelled",
    ];
    assert_eq!(bench.events(id).await, events);
    bench.check(id, true).await;
}

#[tokio::test]
async fn a_notified_refund_is_due_at_once() {
    let bench = Bench::new().await;
    let id = payment(1);
    bench.charge(id, "tok_refund_fails_1").await.unwrap();
    bench.publish_cancelled(id, 4_000).await;
    bench.settle().await;
    assert_eq!(bench.status(id).await, PaymentStatus::RefundPending);
    send(&bench, notification(id, "refunded")).await.unwrap();
    bench.settle().await;
    assert_eq!(bench.status(id).await, PaymentStatus::Refunded);
    bench.check(id, true).await;
}
