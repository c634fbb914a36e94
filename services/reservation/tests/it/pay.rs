//! Paying: at once, later, or nobody knows. A crash between any two steps heals.

use berth::reservation::v1::ReservationStatus;
use chassis::base::{time, time::SignedDuration};
use tonic::Code;
use tonic_types::StatusExt;

use crate::{
    bench::{Bench, at, booking_request, guest, refused},
    others::Charging,
};

const HOLD: SignedDuration = SignedDuration::from_mins(15);

#[tokio::test]
async fn a_customer_pays_later_when_the_charge_is_unavailable() {
    let bench = Bench::new().await;
    bench.payments.now(Charging::IsDown);
    let answer = bench.request(booking_request(1)).await.unwrap();
    assert!(answer.retry_delay.is_some());
    let held = answer.reservation.unwrap();
    assert_eq!(held.status(), ReservationStatus::Requested);
    assert_eq!(
        held.hold_expire_time,
        Some(time::to_proto(at("2027-03-01T12:15:00Z")))
    );
    let unpaid = bench.pay(1).await;
    let status = unpaid.clone().unwrap_err();
    assert!(status.get_details_retry_info().is_some());
    refused(unpaid, Code::Unavailable, "PAYMENT_UNAVAILABLE");
    bench.payments.now(Charging::Pays);
    assert_eq!(
        bench.pay(1).await.unwrap().status(),
        ReservationStatus::Confirmed
    );
    assert_eq!(
        bench.pay(1).await.unwrap().status(),
        ReservationStatus::Confirmed
    );
    assert_eq!(bench.payments.asked(), (3, 1));
}

#[tokio::test]
async fn a_repeated_request_resumes_the_charge() {
    let bench = Bench::new().await;
    bench.payments.now(Charging::IsDown);
    bench.book(1).await.unwrap();
    bench.payments.now(Charging::Pays);
    let answer = bench.request(booking_request(1)).await.unwrap();
    assert_eq!(answer.retry_delay, None);
    assert_eq!(
        answer.reservation.unwrap().status(),
        ReservationStatus::Confirmed
    );
}

#[tokio::test]
async fn an_unpaid_hold_lapses_and_is_never_charged() {
    let bench = Bench::new().await;
    bench.payments.now(Charging::IsDown);
    bench.book(1).await.unwrap();
    bench.payments.now(Charging::Pays);
    // Its time is over, and nobody has told it yet.
    bench.clock.turn(HOLD);
    refused(
        bench.pay(1).await,
        Code::FailedPrecondition,
        "RESERVATION_LAPSED",
    );
    bench.settle().await;
    let lapsed = bench.get(1).await;
    assert_eq!(
        (lapsed.status(), lapsed.reason.as_str()),
        (ReservationStatus::Lapsed, "NOT_PAID")
    );
    refused(
        bench.pay(1).await,
        Code::FailedPrecondition,
        "RESERVATION_LAPSED",
    );
    assert_eq!(
        bench.book(1).await.unwrap().status(),
        ReservationStatus::Lapsed
    );
    assert_eq!((bench.claims().await, bench.payments.asked()), (0, (1, 0)));
}

#[tokio::test]
async fn a_lost_response_is_repaired_by_the_event() {
    let bench = Bench::new().await;
    bench.payments.now(Charging::LosesTheAnswer);
    assert_eq!(
        bench.book(1).await.unwrap().status(),
        ReservationStatus::Requested
    );
    bench.payment_is_approved(1).await;
    assert_eq!(bench.status(1).await, ReservationStatus::Confirmed);
    assert_eq!(
        bench.pay(1).await.unwrap().status(),
        ReservationStatus::Confirmed
    );
    assert_eq!(bench.payments.asked(), (1, 1));
}

#[tokio::test]
async fn a_lost_response_is_repaired_by_a_repeat_that_charges_nothing() {
    let bench = Bench::new().await;
    bench.payments.now(Charging::LosesTheAnswer);
    bench.book(1).await.unwrap();
    bench.payments.now(Charging::Declines);
    assert_eq!(
        bench.pay(1).await.unwrap().status(),
        ReservationStatus::Confirmed
    );
    bench.payment_is_approved(1).await;
    assert_eq!(
        bench.published(1).await,
        ["ReservationRequested", "ReservationConfirmed"]
    );
    assert_eq!(bench.payments.asked(), (2, 1));
}

#[tokio::test]
async fn a_crash_between_charge_and_commit_is_repaired() {
    for by_event in [true, false] {
        let bench = Bench::new().await;
        bench.payments.now(Charging::BreaksOurStore);
        refused(bench.book(1).await, Code::Unavailable, "STORE_UNAVAILABLE");
        assert_eq!(bench.status(1).await, ReservationStatus::Requested);
        bench.payments.now(Charging::Pays);
        if by_event {
            bench.payment_is_approved(1).await;
        } else {
            bench.book(1).await.unwrap();
        }
        assert_eq!(bench.status(1).await, ReservationStatus::Confirmed);
        assert_eq!(bench.payments.asked().1, 1);
    }
}

#[tokio::test]
async fn a_lost_commit_of_the_request_is_repaired_by_a_repeat() {
    let bench = Bench::new().await;
    for point in ["store.commit", "store.answer"] {
        bench.faults.arm(point, 1);
        refused(bench.book(1).await, Code::Unavailable, "STORE_UNAVAILABLE");
    }
    assert_eq!(
        bench.book(1).await.unwrap().status(),
        ReservationStatus::Confirmed
    );
    assert_eq!((bench.claims().await, bench.payments.asked()), (3, (1, 1)));
}

#[tokio::test]
async fn an_unknown_outcome_extends_the_hold() {
    let bench = Bench::new().await;
    bench.payments.now(Charging::Delays);
    let answer = bench.request(booking_request(1)).await.unwrap();
    assert!(answer.retry_delay.is_some());
    let frozen = answer.reservation.unwrap();
    assert_eq!(frozen.status(), ReservationStatus::PaymentPending);
    assert_eq!(frozen.hold_expire_time, None);
    bench.wait(HOLD).await;
    assert_eq!(
        bench.pay(1).await.unwrap().status(),
        ReservationStatus::PaymentPending
    );
    bench.payment_is_approved(1).await;
    assert_eq!(bench.status(1).await, ReservationStatus::Confirmed);
    assert_eq!(bench.payments.asked().1, 1);
}

#[tokio::test]
async fn an_unknown_outcome_is_given_up_after_a_day_and_refunded_if_it_was_paid() {
    let bench = Bench::new().await;
    bench.payments.now(Charging::Delays);
    bench.book(1).await.unwrap();
    bench.wait(SignedDuration::from_hours(24)).await;
    let lapsed = bench.get(1).await;
    assert_eq!(lapsed.reason, "PAYMENT_UNKNOWN");
    bench.payment_is_approved(1).await;
    bench.payment_is_approved(1).await;
    let told = [
        "ReservationRequested",
        "ReservationPaymentPending",
        "ReservationLapsed",
        "ConfirmationMissed",
    ];
    assert_eq!(bench.published(1).await, told);
    assert_eq!(bench.claims().await, 0);
    bench.nothing_is_parked().await;
}

#[tokio::test]
async fn a_reservation_that_awaits_no_payment_cannot_be_paid() {
    let bench = Bench::with_a_host().await;
    bench.book(1).await.unwrap();
    refused(bench.pay(1).await, Code::FailedPrecondition, "NOT_PAYABLE");
    bench
        .cancel(guest(crate::bench::GUEST), 1, None)
        .await
        .unwrap();
    refused(bench.pay(1).await, Code::FailedPrecondition, "NOT_PAYABLE");
    assert_eq!(bench.payments.asked(), (0, 0));
}

#[tokio::test]
async fn an_approved_reservation_is_charged_by_event_or_paid_by_the_guest() {
    let bench = Bench::with_a_host().await;
    let pending = bench.book(1).await.unwrap();
    assert_eq!(pending.status(), ReservationStatus::PendingApproval);
    assert_eq!(
        pending.hold_expire_time,
        Some(time::to_proto(at("2027-03-02T12:00:00Z")))
    );
    let approved = bench.approve(1).await.unwrap();
    assert_eq!(approved.status(), ReservationStatus::Approved);
    assert_eq!(bench.approve(1).await.unwrap(), approved);
    assert_eq!(bench.payments.asked(), (0, 0));
    bench.payment_is_approved(1).await;
    assert_eq!(bench.status(1).await, ReservationStatus::Confirmed);

    bench.book(2).await.unwrap();
    bench.approve(2).await.unwrap();
    assert_eq!(
        bench.pay(2).await.unwrap().status(),
        ReservationStatus::Confirmed
    );
}

#[tokio::test]
async fn a_repeated_request_that_awaits_approval_charges_nothing() {
    let bench = Bench::with_a_host().await;
    bench.book(1).await.unwrap();
    bench.approve(1).await.unwrap();
    let answer = bench.request(booking_request(1)).await.unwrap();
    assert_eq!(answer.retry_delay, None);
    assert_eq!(bench.payments.asked(), (0, 0));
}
