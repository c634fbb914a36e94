//! What payments and the time bring, in any order; and what is told of it.

use berth::{
    offer::v1::Offer,
    reservation::v1::{
        self as v1, RequestReservationRequest, ReservationApproved, ReservationCancelRequested,
        ReservationRequested, ReservationStatus,
    },
};
use chassis::{MemberId, base::time::SignedDuration};
use prost::Message;

use crate::{
    bench::{Bench, GUEST, HOST, TOKEN, booking_request, eur, guest, host, house, text},
    others::Charging,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum News {
    Delayed,
    Approved,
    Declined,
    Lapses,
    GivenUp,
}

async fn hear(bench: &Bench, id: u128, news: News) {
    match news {
        News::Delayed => bench.payment_is_delayed(id).await,
        News::Approved => bench.payment_is_approved(id).await,
        News::Declined => bench.payment_is_declined(id).await,
        News::Lapses => bench.wait(SignedDuration::from_mins(15)).await,
        News::GivenUp => {
            // Who comes too late is refused.
            let _ = bench.cancel(host(), id, None).await;
        }
    }
}

#[tokio::test]
async fn claims_and_payments_agree_in_any_order_of_events() {
    let bench = Bench::new().await;
    bench.owner.offers(Offer {
        capacity: 1000,
        ..house()
    });
    bench.payments.now(Charging::IsDown);
    let all = [
        News::Delayed,
        News::Approved,
        News::Declined,
        News::Lapses,
        News::GivenUp,
    ];
    for n in 0..125 {
        let (id, order) = (1000 + n as u128, [all[n / 25], all[n / 5 % 5], all[n % 5]]);
        let customer_id = MemberId::from_u128(id).to_string();
        let request = RequestReservationRequest {
            customer_id,
            ..booking_request(id)
        };
        bench.request(request).await.unwrap();
        for news in order {
            hear(&bench, id, news).await;
        }
        let now = bench.get(id).await;
        let open = matches!(
            now.status(),
            ReservationStatus::Requested
                | ReservationStatus::PaymentPending
                | ReservationStatus::Confirmed
        );
        assert_eq!(
            bench.claims_of(id).await,
            if open { 3 } else { 0 },
            "{order:?}"
        );
        let told = bench.published(id).await;
        let count = |name: &str| told.iter().filter(|told| *told == name).count();
        let (confirmed, missed) = (count("ReservationConfirmed"), count("ConfirmationMissed"));
        let paid = usize::from(order.contains(&News::Approved));
        assert_eq!(confirmed + missed, paid, "{order:?}: {told:?}");
        assert_eq!(i64::try_from(told.len()).unwrap(), now.version);
    }
    bench.nothing_is_parked().await;
}

#[tokio::test]
async fn payment_events_change_the_reservation() {
    let bench = Bench::new().await;
    bench.payments.now(Charging::IsDown);
    bench.book(1).await.unwrap();
    bench.payment_is_delayed(1).await;
    bench.wait(SignedDuration::from_mins(15)).await;
    assert_eq!(bench.status(1).await, ReservationStatus::PaymentPending);
    bench.payment_is_declined(1).await;
    let rejected = bench.get(1).await;
    assert_eq!(rejected.status(), ReservationStatus::Rejected);
    assert_eq!(rejected.reason, "PAYMENT_DECLINED");
    bench.nothing_is_parked().await;
}

#[tokio::test]
async fn a_payment_without_a_reservation_is_set_aside() {
    let bench = Bench::new().await;
    bench.payment_is_approved(77).await;
    let none = (String::new(), String::new(), 0);
    let letters = bench.site.deps.store.dead_letters(none, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
}

#[tokio::test]
async fn the_payment_token_is_published_only_to_payment() {
    let bench = Bench::with_a_host().await;
    bench.book(1).await.unwrap();
    bench.approve(1).await.unwrap();
    bench.payment_is_approved(1).await;
    let log = bench.site.deps.store.log_of(text(1)).await.unwrap();
    let requested = ReservationRequested::decode(log[0].data.clone()).unwrap();
    let approved = ReservationApproved::decode(log[1].data.clone()).unwrap();
    assert_eq!(
        (
            requested.payment_method.as_str(),
            approved.payment_method.as_str()
        ),
        (TOKEN, TOKEN)
    );
    assert!(!String::from_utf8_lossy(&log[2].data).contains(TOKEN));
    let seen = format!("{:?} {:?}", bench.get(1).await, bench.history(1).await);
    assert!(!seen.contains(TOKEN));
    for event in &log {
        assert_eq!(event.cause.correlation, text(1));
    }
}

#[tokio::test]
async fn an_event_carries_the_reservation_after_it() {
    let bench = Bench::new().await;
    bench.book(1).await.unwrap();
    bench.cancel(guest(GUEST), 1, None).await.unwrap();
    let log = bench.site.deps.store.log_of(text(1)).await.unwrap();
    let told = ReservationCancelRequested::decode(log[2].data.clone()).unwrap();
    assert_eq!(told.refund, Some(eur(200)));
    assert_eq!(told.reservation, Some(bench.get(1).await));
    let versions: Vec<_> = log.iter().map(|event| event.version).collect();
    assert_eq!(versions, [1, 2, 3]);
}

#[tokio::test]
async fn the_history_has_actors_and_reasons() {
    let bench = Bench::with_a_host().await;
    bench.book(1).await.unwrap();
    bench.approve(1).await.unwrap();
    bench.payment_is_approved(1).await;
    bench.cancel(host(), 1, None).await.unwrap();
    bench.payment_is_refunded(1).await;
    let told = bench.history(1).await.into_iter().map(|entry| {
        let v1::HistoryEntry {
            event_type,
            actor,
            reason,
            version,
            ..
        } = entry.clone();
        (event_type, entry.status(), actor, reason, version)
    });
    let entry = |event: &str, status, actor: &str, reason: &str, version| {
        let event = format!("berth.reservation.v1.{event}");
        (event, status, actor.to_owned(), reason.to_owned(), version)
    };
    let (guest, host) = (GUEST.to_string(), HOST.to_string());
    let expected = [
        entry(
            "ReservationRequested",
            ReservationStatus::PendingApproval,
            &guest,
            "",
            1,
        ),
        entry(
            "ReservationApproved",
            ReservationStatus::Approved,
            &host,
            "",
            2,
        ),
        entry(
            "ReservationConfirmed",
            ReservationStatus::Confirmed,
            "service:payment",
            "",
            3,
        ),
        entry(
            "ReservationCancelRequested",
            ReservationStatus::CancelRequested,
            &host,
            "ill",
            4,
        ),
        entry(
            "ReservationCancelled",
            ReservationStatus::Cancelled,
            "service:payment",
            "ill",
            5,
        ),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_reservation_without_a_decision_of_the_host_lapses() {
    let bench = Bench::with_a_host().await;
    bench.book(1).await.unwrap();
    bench.wait(SignedDuration::from_hours(24)).await;
    let lapsed = bench.get(1).await;
    assert_eq!(
        (lapsed.status(), lapsed.reason.as_str()),
        (ReservationStatus::Lapsed, "NOT_APPROVED")
    );
    assert_eq!(bench.claims().await, 0);
}

#[tokio::test]
async fn a_rejection_has_a_reason() {
    let bench = Bench::with_a_host().await;
    bench.book(1).await.unwrap();
    let rejected = bench.reject(1, "PAYMENT_DECLINED").await.unwrap();
    assert_eq!(rejected.status(), ReservationStatus::Rejected);
    assert_eq!(bench.reject(1, "PAYMENT_DECLINED").await.unwrap(), rejected);
    // A host cannot make it look like a declined payment.
    assert_eq!(
        bench.request(booking_request(1)).await.unwrap().reservation,
        Some(rejected)
    );
}
