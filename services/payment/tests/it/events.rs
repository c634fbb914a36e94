//! What follows from what happens to a reservation.

use berth::{
    payment::v1::{PaymentCancelled, PaymentStatus},
    reservation::v1::{ReservationApproved, ReservationCancelled, ReservationCompleted},
};
use chassis::{Money, base::time::SignedDuration};
use prost::Message;

use crate::bench::{Bench, GUEST, HOST, a_reservation, payment};

#[tokio::test]
async fn an_approved_reservation_is_charged_at_once() {
    let bench = Bench::new().await;
    bench.publish_approved(payment(1), "tok_approved").await;
    bench.publish_approved(payment(2), "tok_declined").await;
    bench.settle().await;
    assert_eq!(bench.status(payment(1)).await, PaymentStatus::Paid);
    assert_eq!(bench.status(payment(2)).await, PaymentStatus::Declined);
    bench.publish_approved(payment(1), "tok_approved").await;
    bench.settle().await;
    assert_eq!(bench.events(payment(1)).await, ["PaymentApproved"]);
    bench.check(payment(1), true).await;
    bench.check(payment(2), true).await;
}

#[tokio::test]
async fn an_approved_reservation_without_a_price_is_parked() {
    let bench = Bench::new().await;
    let event = ReservationApproved {
        reservation: Some(berth::reservation::v1::Reservation {
            price: None,
            ..a_reservation(payment(1))
        }),
        payment_method: "tok_approved".into(),
    };
    bench.publish(payment(1), event).await;
    bench.settle().await;
    let parked = bench.site.deps.store.dead_letters(Default::default(), 9);
    assert_eq!(parked.await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_missed_payment_is_refunded_by_what_is_left() {
    let bench = Bench::new().await;
    let id = payment(1);
    bench.charge(id, "tok_approved").await.unwrap();
    bench.publish_cancelled(id, 4_000).await;
    bench.publish_missed(id).await;
    bench.publish_missed(id).await;
    bench.rest().await;
    let provider_ledger = bench.provider_ledger(id).await;
    assert_eq!(
        (provider_ledger.refunds.len(), provider_ledger.refunded()),
        (2, 10_000)
    );
    assert_eq!(refunds(&bench, id).await, [4_000, 6_000]);
    bench.check(id, true).await;
}

#[tokio::test]
async fn a_refund_before_the_outcome_waits_for_it() {
    let bench = Bench::new().await;
    let (lost, down) = (payment(1), payment(2));
    bench.charge(lost, "tok_timeout_after").await.unwrap();
    bench.charge(down, "tok_down").await.unwrap();
    bench.publish_cancelled(lost, 4_000).await;
    bench.publish_cancelled(down, 4_000).await;
    bench.settle().await;
    assert_eq!(bench.status(lost).await, PaymentStatus::Pending);
    bench.clock.turn(SignedDuration::from_hours(24));
    bench.settle().await;
    assert_eq!(refunds(&bench, lost).await, [4_000]);
    bench.check(lost, true).await;
    // The cancellation that waits for a refund is finished with zero.
    assert_eq!(refunds(&bench, down).await, [0]);
    bench.check(down, true).await;
}

#[tokio::test]
async fn a_refund_of_a_declined_payment_is_zero() {
    let bench = Bench::new().await;
    bench.charge(payment(1), "tok_declined").await.unwrap();
    bench.publish_cancelled(payment(1), 4_000).await;
    bench.rest().await;
    assert_eq!(refunds(&bench, payment(1)).await, [0]);
    assert_eq!(bench.status(payment(1)).await, PaymentStatus::Declined);
    bench.check(payment(1), true).await;
}

#[tokio::test]
async fn the_ledger_has_the_balance_of_every_account() {
    let bench = Bench::new().await;
    let id = payment(1);
    let (guest, host) = (format!("guest/{GUEST}"), format!("host/{HOST}"));
    bench.charge(id, "tok_approved").await.unwrap();
    let charged = [(guest.clone(), -10_000), ("provider".into(), 10_000)];
    assert_eq!(bench.ledger(id).await, charged.into());
    bench.publish_cancelled(id, 4_000).await;
    bench.rest().await;
    let refunded = [(guest.clone(), -6_000), ("provider".into(), 6_000)];
    assert_eq!(bench.ledger(id).await, refunded.into());
    let event = ReservationCancelled {
        reservation: Some(a_reservation(id)),
    };
    bench.publish(id, event).await;
    bench.settle().await;
    let over = [(guest, -6_000), (host, 6_000), ("provider".into(), 0)];
    assert_eq!(bench.ledger(id).await, over.clone().into());
    // Over is over, and what was never charged is nobody's.
    for id in [id, payment(2)] {
        let event = ReservationCompleted {
            reservation: Some(a_reservation(id)),
        };
        bench.publish(id, event).await;
    }
    bench.settle().await;
    assert_eq!(bench.ledger(id).await, over.into());
    assert_eq!(bench.ledger(payment(2)).await, [].into());
}

/// What the events say was refunded.
async fn refunds(bench: &Bench, id: chassis::ReservationId) -> Vec<i64> {
    let log = bench.site.deps.store.log_of(id.to_string()).await.unwrap();
    log.iter()
        .filter(|event| event.event_type.ends_with("PaymentCancelled"))
        .map(|event| {
            let refund = PaymentCancelled::decode(event.data.clone()).unwrap().refund;
            Money::try_from(&refund.unwrap()).unwrap().minor
        })
        .collect()
}
