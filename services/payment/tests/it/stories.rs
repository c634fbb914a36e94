//! What happens when things go wrong: lost answers, a dead provider, crashes.

use std::time::Duration;

use berth::payment::v1::PaymentStatus;
use chassis::{Caller, base::time::SignedDuration};
use tokio::time::Instant;
use tonic::Code;

use crate::bench::{Bench, of, order, payment};

/// Scenario: S7.
#[tokio::test]
async fn a_refund_that_fails_twice_is_made_once() {
    let bench = Bench::new().await;
    let id = payment(1);
    bench.charge(id, "tok_refund_fails_twice").await.unwrap();
    bench.publish_cancelled(id, 4_000).await;
    bench.settle().await;
    assert_eq!(bench.status(id).await, PaymentStatus::RefundPending);
    assert_eq!(bench.provider_ledger(id).await.refunded(), 0);
    // Asked for a second time while it is on its way, and a third time when it is done.
    bench.publish_cancelled(id, 4_000).await;
    bench.rest().await;
    bench.publish_cancelled(id, 4_000).await;
    bench.rest().await;
    assert_eq!(bench.status(id).await, PaymentStatus::Refunded);
    let provider_ledger = bench.provider_ledger(id).await;
    assert_eq!(
        (provider_ledger.refunds.len(), provider_ledger.refunded()),
        (1, 4_000)
    );
    let events = bench.events(id).await;
    assert_eq!(events, ["PaymentApproved", "PaymentCancelled"]);
    bench.check(id, true).await;
}

/// Scenario: S11.
#[tokio::test]
async fn a_charge_whose_response_is_lost_is_not_made_twice() {
    let bench = Bench::new().await;
    let id = payment(1);
    let pending = bench.charge(id, "tok_timeout_after").await.unwrap();
    assert_eq!(pending.status(), PaymentStatus::Pending);
    assert_eq!(bench.provider_ledger(id).await.charges.len(), 1);
    bench.settle().await;
    assert_eq!(
        bench.status(id).await,
        PaymentStatus::Pending,
        "not yet due"
    );
    bench.clock.turn(SignedDuration::from_secs(1));
    bench.settle().await;
    assert_eq!(bench.status(id).await, PaymentStatus::Paid);
    assert_eq!(
        bench.events(id).await,
        ["PaymentDelayed", "PaymentApproved"]
    );
    bench.check(id, true).await;
}

/// Scenario: S11.
#[tokio::test]
async fn a_repeated_charge_returns_the_outcome_at_once() {
    let bench = Bench::new().await;
    let id = payment(1);
    bench.charge(id, "tok_timeout_after").await.unwrap();
    let paid = bench.charge(id, "tok_timeout_after").await.unwrap();
    assert_eq!(paid.status(), PaymentStatus::Paid);
    bench.check(id, true).await;
}

/// Scenario: S12.
#[tokio::test]
async fn a_lost_charge_is_made_by_the_next_attempt() {
    let bench = Bench::new().await;
    let id = payment(1);
    let pending = bench.charge(id, "tok_timeout_before").await.unwrap();
    assert_eq!(pending.status(), PaymentStatus::Pending);
    assert!(bench.provider_ledger(id).await.charges.is_empty());
    bench.rest().await;
    assert_eq!(
        bench.events(id).await,
        ["PaymentDelayed", "PaymentApproved"]
    );
    bench.check(id, true).await;
}

#[tokio::test]
async fn a_slow_provider_times_out() {
    let bench = Bench::with_timeout(20).await;
    let id = payment(1);
    let pending = bench.charge(id, "tok_slow_60000").await.unwrap();
    assert_eq!(pending.status(), PaymentStatus::Pending);
    bench.rest().await;
    assert_eq!(bench.status(id).await, PaymentStatus::Paid);
    bench.check(id, true).await;

    // Nor longer than the caller waits.
    let bench = Bench::new().await;
    let caller = Caller {
        deadline: Some(Instant::now() + Duration::from_millis(50)),
        ..Caller::service("reservation")
    };
    let request = of(caller, order(id, "tok_slow_60000"));
    let answer = bench.client().charge_payment(request).await.unwrap();
    let pending = answer.into_inner().payment.unwrap();
    assert_eq!(pending.status(), PaymentStatus::Pending);

    let paid = bench.charge(payment(2), "tok_slow_5").await.unwrap();
    assert_eq!(paid.status(), PaymentStatus::Paid);
}

/// Scenario: S14.
#[tokio::test]
async fn a_provider_that_is_down_for_a_day_ends_in_a_decline_and_a_void() {
    let bench = Bench::new().await;
    let id = payment(1);
    let pending = bench.charge(id, "tok_down").await.unwrap();
    assert_eq!(pending.status(), PaymentStatus::Pending);
    for _ in 0..23 {
        bench.clock.turn(SignedDuration::from_hours(1));
        bench.settle().await;
        assert_eq!(bench.status(id).await, PaymentStatus::Pending);
    }
    assert_eq!(bench.events(id).await, ["PaymentDelayed"], "published once");
    bench.clock.turn(SignedDuration::from_hours(1));
    bench.settle().await;
    let declined = bench.get(id).await.unwrap();
    assert_eq!(declined.status(), PaymentStatus::Declined);
    assert_eq!(declined.reason, "PROVIDER_TIMEOUT");
    assert_eq!(
        bench.events(id).await,
        ["PaymentDelayed", "PaymentDeclined"]
    );
    // The void is tried for ever.
    let before = bench.provider_ledger(id).await.requests;
    bench.clock.turn(SignedDuration::from_hours(1));
    bench.settle().await;
    assert!(bench.provider_ledger(id).await.requests > before);
}

/// Scenario: S14.
#[tokio::test]
async fn a_charge_without_a_response_is_voided_when_given_up() {
    let bench = Bench::new().await;
    let id = payment(1);
    // The first charge is lost, and then the service is not there for a day.
    bench.charge(id, "tok_down_2").await.unwrap();
    bench.clock.turn(SignedDuration::from_hours(25));
    bench.rest().await;
    let declined = bench.get(id).await.unwrap();
    assert_eq!(declined.reason, "PROVIDER_TIMEOUT");
    assert!(bench.provider_ledger(id).await.voided);
    bench.check(id, true).await;
    let again = bench.charge(id, "tok_down_2").await.unwrap();
    assert_eq!(again.status(), PaymentStatus::Declined);
    bench.check(id, true).await;

    // Nothing was charged, and a day later it is too late to charge.
    let id = payment(3);
    bench.charge(id, "tok_timeout_before").await.unwrap();
    bench.clock.turn(SignedDuration::from_hours(25));
    bench.rest().await;
    assert_eq!(bench.get(id).await.unwrap().reason, "PROVIDER_TIMEOUT");
    assert!(bench.provider_ledger(id).await.charges.is_empty());
    bench.check(id, true).await;

    // It was charged, and that is found out after a day: then it is paid.
    let id = payment(2);
    bench.charge(id, "tok_timeout_after").await.unwrap();
    bench.clock.turn(SignedDuration::from_hours(25));
    bench.rest().await;
    assert_eq!(bench.status(id).await, PaymentStatus::Paid);
    bench.check(id, true).await;
}

/// S15: the process dies at a point of a charge; the next one finds the outcome, with or without a repeated call.
/// Scenario: S15.
#[tokio::test]
async fn a_crash_at_any_point_of_a_charge_is_repaired() {
    let points = [
        ("payment.before_intent", 1),
        ("payment.after_intent", 1),
        ("payment.after_provider", 1),
        ("payment.after_result", 1),
        ("store.commit", 1),
        ("store.answer", 1),
        ("store.answer", 2),
        ("store.answer", 3),
    ];
    let methods = [
        "tok_approved",
        "tok_declined",
        "tok_timeout_after",
        "tok_timeout_before",
    ];
    for (point, times) in points {
        for method in methods {
            for asked_again in [false, true] {
                let mut bench = Bench::new().await;
                let id = payment(1);
                bench.faults.arm(point, times);
                if let Err(crash) = bench.charge(id, method).await {
                    assert_eq!(crash.code(), Code::Unavailable, "{point} {method}");
                }
                bench.faults.disarm(point);
                bench.check(id, false).await;
                bench.restart().await;
                if asked_again {
                    bench.charge(id, method).await.unwrap();
                }
                bench.rest().await;
                bench.check(id, true).await;
                // Nobody asked the provider before the intent was on disk.
                let expected = usize::from(method != "tok_declined" && bench.get(id).await.is_ok());
                let charges = bench.provider_ledger(id).await.charges.len();
                assert_eq!(charges, expected, "{point} {method}");
            }
        }
    }
}

/// Scenario: S15.
#[tokio::test]
async fn a_crash_at_any_point_of_a_refund_is_repaired() {
    for (point, times) in [
        ("payment.after_intent", 1),
        ("payment.after_provider", 1),
        ("payment.after_result", 1),
        ("consumer.payment", 1),
        ("store.commit", 1),
        ("store.answer", 1),
        ("store.answer", 2),
    ] {
        let mut bench = Bench::new().await;
        let id = payment(1);
        bench.charge(id, "tok_approved").await.unwrap();
        bench.publish_cancelled(id, 4_000).await;
        bench.faults.arm(point, times);
        // The step may fail, as a worker's may: the next one takes up where it left off.
        let _ = bench.site.step().await;
        let _ = bench.site.step().await;
        bench.faults.disarm(point);
        bench.check(id, false).await;
        bench.restart().await;
        bench.rest().await;
        bench.check(id, true).await;
        let provider_ledger = bench.provider_ledger(id).await;
        assert_eq!(
            (provider_ledger.refunds.len(), provider_ledger.refunded()),
            (1, 4_000),
            "{point}"
        );
        let events = bench.events(id).await;
        assert_eq!(events, ["PaymentApproved", "PaymentCancelled"], "{point}");
    }
}
