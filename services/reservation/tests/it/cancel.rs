//! Giving up: what it costs, and who may.

use berth::reservation::v1::ReservationStatus;
use chassis::base::{time, time::SignedDuration};
use tonic::Code;

use crate::bench::{Bench, GUEST, at, eur, guest, host, refused};

#[tokio::test]
async fn a_quote_is_valid_until_its_time() {
    let bench = Bench::new().await;
    bench.book(1).await.unwrap();
    let quote = bench.quote(guest(GUEST), 1).await.unwrap();
    assert_eq!(
        (quote.refund.clone(), quote.fee.clone()),
        (Some(eur(200)), Some(eur(0)))
    );
    let until = at("2027-03-25T13:00:00Z");
    assert_eq!(quote.valid_until, Some(time::to_proto(until)));
    bench.clock.set(until);
    assert_eq!(bench.quote(guest(GUEST), 1).await.unwrap(), quote);
    bench.clock.turn(SignedDuration::from_secs(1));
    let later = bench.quote(guest(GUEST), 1).await.unwrap();
    assert_eq!((later.refund, later.fee), (Some(eur(100)), Some(eur(100))));
    refused(
        bench.cancel(guest(GUEST), 1, Some(eur(200))).await,
        Code::Aborted,
        "REFUND_CHANGED",
    );
    let cancelled = bench.cancel(guest(GUEST), 1, Some(eur(100))).await.unwrap();
    assert_eq!(cancelled.status(), ReservationStatus::CancelRequested);
    assert_eq!(
        (cancelled.refund, cancelled.reason.as_str()),
        (Some(eur(100)), "ill")
    );
}

#[tokio::test]
async fn a_cancelled_period_is_free_at_once_and_refunded_later() {
    let bench = Bench::new().await;
    bench.book(1).await.unwrap();
    let first = bench.cancel(guest(GUEST), 1, None).await.unwrap();
    assert_eq!(bench.claims().await, 0);
    bench.book(2).await.unwrap();
    bench.payment_is_refunded(1).await;
    let cancelled = bench.get(1).await;
    assert_eq!(cancelled.status(), ReservationStatus::Cancelled);
    assert_eq!(
        (cancelled.refund, cancelled.payment_id),
        (Some(eur(200)), first.payment_id)
    );
    let again = bench.cancel(guest(GUEST), 1, Some(eur(1))).await.unwrap();
    assert_eq!(again.status(), ReservationStatus::Cancelled);
    refused(
        bench.quote(guest(GUEST), 1).await,
        Code::FailedPrecondition,
        "NOT_CANCELLABLE",
    );
}

#[tokio::test]
async fn a_host_who_cancels_refunds_everything() {
    let bench = Bench::new().await;
    bench.book(1).await.unwrap();
    bench.clock.set(at("2027-04-01T12:59:59Z"));
    let none = bench.quote(guest(GUEST), 1).await.unwrap();
    assert_eq!(none.refund, Some(eur(0)));
    let all = bench.quote(host(), 1).await.unwrap();
    assert_eq!(all.refund, Some(eur(200)));
    let cancelled = bench.cancel(host(), 1, all.refund).await.unwrap();
    assert_eq!(cancelled.refund, Some(eur(200)));
}

#[tokio::test]
async fn a_cancellation_without_a_refund_is_final_at_once() {
    let bench = Bench::new().await;
    bench.book(1).await.unwrap();
    bench.clock.set(at("2027-04-01T12:59:59Z"));
    let cancelled = bench.cancel(guest(GUEST), 1, None).await.unwrap();
    assert_eq!(
        (cancelled.status(), cancelled.refund),
        (ReservationStatus::Cancelled, Some(eur(0)))
    );
    assert_eq!(
        bench.published(1).await.last().unwrap(),
        "ReservationCancelled"
    );
}

#[tokio::test]
async fn a_stay_that_has_begun_is_not_cancelled() {
    let bench = Bench::new().await;
    bench.book(1).await.unwrap();
    bench.clock.set(at("2027-04-01T13:00:00Z"));
    for by in [guest(GUEST), host()] {
        refused(
            bench.cancel(by.clone(), 1, None).await,
            Code::FailedPrecondition,
            "STAY_HAS_BEGUN",
        );
        refused(
            bench.quote(by, 1).await,
            Code::FailedPrecondition,
            "STAY_HAS_BEGUN",
        );
    }
    bench.wait(SignedDuration::from_hours(48)).await;
    refused(
        bench.cancel(host(), 1, None).await,
        Code::FailedPrecondition,
        "NOT_CANCELLABLE",
    );
}
