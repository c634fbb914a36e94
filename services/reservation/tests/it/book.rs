//! Booking: held, paid and confirmed at once, or refused.

use berth::{
    offer::v1::{DateRange, Offer, Unit},
    reservation::v1::{RequestReservationRequest, ReservationStatus},
};
use chassis::base::{time, time::SignedDuration};
use tonic::Code;

use crate::{
    bench::{
        Bench, GUEST, HOST, STRANGER, TOKEN, at, booking_request, date, dates, eur, hours, house,
        nights, refused, text,
    },
    others::Charging,
};

#[tokio::test]
async fn a_room_is_held_paid_and_confirmed_at_once() {
    let bench = Bench::new().await;
    let answer = bench.request(booking_request(1)).await.unwrap();
    assert_eq!(answer.retry_delay, None);
    let booked = answer.reservation.unwrap();
    assert_eq!(booked.status(), ReservationStatus::Confirmed);
    assert_eq!(booked.price, Some(eur(200)));
    assert_eq!(
        (booked.units.as_slice(), booked.version),
        ([1].as_slice(), 2)
    );
    assert_eq!((booked.payment_id, booked.reason), (text(1), String::new()));
    assert_eq!(
        (booked.customer_id, booked.host_id),
        (GUEST.to_string(), HOST.to_string())
    );
    assert_eq!(
        booked.start_time,
        Some(time::to_proto(at("2027-04-01T13:00:00Z")))
    );
    assert_eq!(
        booked.end_time,
        Some(time::to_proto(at("2027-04-03T09:00:00Z")))
    );
    assert_eq!((booked.hold_expire_time, booked.refund), (None, None));
    assert_eq!(
        bench.published(1).await,
        ["ReservationRequested", "ReservationConfirmed"]
    );
    assert_eq!(bench.payments.method(text(1).parse().unwrap()), TOKEN);
    assert_eq!(bench.claims().await, 3);
}

#[tokio::test]
async fn a_repeat_has_the_same_response_and_charges_nothing() {
    let bench = Bench::new().await;
    let first = bench.request(booking_request(1)).await.unwrap();
    bench.owner.is_down(true);
    for _ in 0..10 {
        assert_eq!(bench.request(booking_request(1)).await.unwrap(), first);
    }
    assert_eq!(bench.payments.asked(), (1, 1));
    // No quantity and no persons mean one of each.
    let none = RequestReservationRequest {
        persons: 0,
        quantity: 0,
        ..booking_request(1)
    };
    refused(
        bench.request(none).await,
        Code::AlreadyExists,
        "IDEMPOTENCY_KEY_REUSED",
    );
}

#[tokio::test]
async fn the_same_id_with_other_content_is_refused() {
    let bench = Bench::new().await;
    bench.book(1).await.unwrap();
    for other in [
        RequestReservationRequest {
            period: Some(nights(1, 4)),
            ..booking_request(1)
        },
        RequestReservationRequest {
            quantity: 2,
            ..booking_request(1)
        },
        RequestReservationRequest {
            payment_method: "tok_b".into(),
            ..booking_request(1)
        },
        RequestReservationRequest {
            customer_id: STRANGER.to_string(),
            ..booking_request(1)
        },
        RequestReservationRequest {
            offer_id: STRANGER.to_string(),
            ..booking_request(1)
        },
    ] {
        refused(
            bench.request(other).await,
            Code::AlreadyExists,
            "IDEMPOTENCY_KEY_REUSED",
        );
    }
}

#[tokio::test]
async fn a_refused_request_leaves_no_claims() {
    let bench = Bench::new().await;
    let past = dates(date(2027, 2, 1), date(2027, 2, 2));
    let far = dates(date(2029, 4, 1), date(2029, 4, 2));
    let hour = hours("2027-04-01T10:00:00Z", "2027-04-01T11:00:00Z");
    let precondition = Code::FailedPrecondition;
    for (request, code, reason) in [
        (
            RequestReservationRequest {
                quantity: 3,
                ..booking_request(1)
            },
            precondition,
            "SOLD_OUT",
        ),
        (
            RequestReservationRequest {
                persons: 3,
                ..booking_request(1)
            },
            precondition,
            "TOO_MANY_PERSONS",
        ),
        (
            RequestReservationRequest {
                period: Some(past),
                ..booking_request(1)
            },
            precondition,
            "PERIOD_IN_PAST",
        ),
        (
            RequestReservationRequest {
                period: Some(far),
                ..booking_request(1)
            },
            Code::InvalidArgument,
            "TOO_FAR_AHEAD",
        ),
        (
            RequestReservationRequest {
                period: Some(hour),
                ..booking_request(1)
            },
            Code::InvalidArgument,
            "WRONG_PERIOD",
        ),
        (
            RequestReservationRequest {
                offer_id: STRANGER.to_string(),
                ..booking_request(1)
            },
            Code::NotFound,
            "NOT_FOUND",
        ),
    ] {
        refused(bench.request(request).await, code, reason);
    }
    let blackout = DateRange {
        start_date: Some(date(2027, 4, 2)),
        end_date: Some(date(2027, 4, 3)),
    };
    bench.owner.offers(Offer {
        blackouts: vec![blackout],
        ..house()
    });
    refused(bench.book(1).await, precondition, "BLACKED_OUT");
    bench.owner.offers(Offer {
        withdrawn: true,
        ..house()
    });
    refused(bench.book(1).await, precondition, "OFFER_WITHDRAWN");
    assert_eq!((bench.claims().await, bench.payments.asked()), (0, (0, 0)));
    assert_eq!(
        bench.site.deps.store.high_water_mark().await.unwrap().seq,
        0
    );
}

#[tokio::test]
async fn a_customer_has_ten_open_reservations_at_most() {
    let bench = Bench::new().await;
    bench.owner.offers(Offer {
        capacity: 100,
        ..house()
    });
    for id in 1..=10 {
        bench.book(id).await.unwrap();
    }
    refused(
        bench.book(11).await,
        Code::FailedPrecondition,
        "TOO_MANY_RESERVATIONS",
    );
    let other = RequestReservationRequest {
        customer_id: STRANGER.to_string(),
        ..booking_request(11)
    };
    bench.request(other).await.unwrap();
    // Nine after one is given up.
    bench
        .cancel(crate::bench::guest(GUEST), 5, None)
        .await
        .unwrap();
    bench.book(12).await.unwrap();
}

#[tokio::test]
async fn a_declined_payment_frees_the_units() {
    let bench = Bench::new().await;
    bench.payments.now(Charging::Declines);
    for _ in 0..3 {
        refused(
            bench.book(1).await,
            Code::FailedPrecondition,
            "PAYMENT_DECLINED",
        );
    }
    let rejected = bench.get(1).await;
    assert_eq!(rejected.status(), ReservationStatus::Rejected);
    assert_eq!(
        (rejected.reason.as_str(), rejected.payment_id.as_str()),
        ("PAYMENT_DECLINED", "")
    );
    assert_eq!((bench.claims().await, bench.payments.asked()), (0, (1, 1)));
    refused(
        bench.pay(1).await,
        Code::FailedPrecondition,
        "PAYMENT_DECLINED",
    );
}

#[tokio::test]
async fn one_guest_leaves_and_the_next_arrives_on_the_same_day() {
    let bench = Bench::new().await;
    bench.owner.offers(Offer {
        capacity: 1,
        ..house()
    });
    let stay = |id, start, end| RequestReservationRequest {
        period: Some(nights(start, end)),
        ..booking_request(id)
    };
    bench.request(stay(1, 5, 8)).await.unwrap();
    bench.request(stay(2, 8, 9)).await.unwrap();
    bench.request(stay(3, 3, 5)).await.unwrap();
    for (start, end) in [(4, 6), (7, 8), (1, 20), (8, 9)] {
        refused(
            bench.request(stay(4, start, end)).await,
            Code::FailedPrecondition,
            "SOLD_OUT",
        );
    }
}

#[tokio::test]
async fn availability_equals_what_can_be_booked() {
    let bench = Bench::new().await;
    bench.owner.offers(Offer {
        capacity: 3,
        ..house()
    });
    let mut id = 0;
    for (start, end, quantity) in [(1, 4, 1), (3, 6, 2), (5, 9, 1), (2, 3, 2), (8, 10, 3)] {
        let taken = RequestReservationRequest {
            period: Some(nights(start, end)),
            quantity,
            ..booking_request(100 + id)
        };
        id += 1;
        let _ = bench.request(taken).await;
    }
    for start in 1..10 {
        for length in 1..4 {
            for quantity in 1..5 {
                let period = nights(start, start + length);
                let seen = bench.availability(period, quantity).await.unwrap();
                assert_eq!(seen.price, Some(eur(100 * i64::from(length * quantity))));
                let customer = chassis::MemberId::from_u128(1000 + id).to_string();
                let booking_request = RequestReservationRequest {
                    period: Some(period),
                    quantity,
                    persons: 1,
                    customer_id: customer.clone(),
                    ..booking_request(1000 + id)
                };
                let got = bench.request(booking_request).await;
                assert_eq!(
                    seen.free >= quantity,
                    got.is_ok(),
                    "{start} {length} {quantity}: {seen:?}"
                );
                assert_eq!(seen.reason.is_empty(), got.is_ok());
                if got.is_ok() {
                    let by = crate::bench::guest(customer.parse().unwrap());
                    bench.cancel(by, 1000 + id, None).await.unwrap();
                }
                id += 1;
            }
        }
    }
}

#[tokio::test]
async fn availability_has_the_reason_of_a_refusal() {
    let bench = Bench::new().await;
    let seen = bench.availability(nights(1, 3), 0).await.unwrap();
    assert_eq!(
        (seen.free, seen.price, seen.reason.as_str()),
        (2, Some(eur(200)), "")
    );
    let seen = bench.availability(nights(1, 3), 3).await.unwrap();
    assert_eq!(
        (seen.free, seen.price, seen.reason.as_str()),
        (2, Some(eur(600)), "SOLD_OUT")
    );
    let past = dates(date(2027, 2, 1), date(2027, 2, 2));
    let seen = bench.availability(past, 1).await.unwrap();
    assert_eq!((seen.free, seen.reason.as_str()), (0, "PERIOD_IN_PAST"));
    let hour = hours("2027-04-01T10:00:00Z", "2027-04-01T11:00:00Z");
    refused(
        bench.availability(hour, 1).await,
        Code::InvalidArgument,
        "WRONG_PERIOD",
    );
    bench.owner.forgets();
    refused(
        bench.availability(nights(1, 3), 1).await,
        Code::NotFound,
        "NOT_FOUND",
    );
}

#[tokio::test]
async fn a_meeting_room_is_sold_by_the_hour() {
    let bench = Bench::new().await;
    bench.owner.offers(Offer {
        unit: Unit::Hour.into(),
        capacity: 1,
        time_zone: "Asia/Kolkata".into(),
        ..house()
    });
    let from = |id, start: &str, end: &str| RequestReservationRequest {
        period: Some(hours(start, end)),
        ..booking_request(id)
    };
    // Ten to noon in Calcutta.
    let booked = bench
        .request(from(1, "2027-04-01T04:30:00Z", "2027-04-01T06:30:00Z"))
        .await;
    assert_eq!(booked.unwrap().reservation.unwrap().price, Some(eur(200)));
    let overlaps = from(2, "2027-04-01T06:15:00Z", "2027-04-01T07:15:00Z");
    refused(
        bench.request(overlaps).await,
        Code::FailedPrecondition,
        "SOLD_OUT",
    );
    bench
        .request(from(2, "2027-04-01T06:30:00Z", "2027-04-01T07:30:00Z"))
        .await
        .unwrap();
}

#[tokio::test]
async fn of_many_requests_for_the_last_room_one_succeeds() {
    let bench = Bench::new().await;
    bench.owner.offers(Offer {
        capacity: 1,
        ..house()
    });
    let wanting = (1..=60).map(|id| {
        let customer = chassis::MemberId::from_u128(1000 + id).to_string();
        bench.request(RequestReservationRequest {
            customer_id: customer,
            ..booking_request(id)
        })
    });
    let answers = futures::future::join_all(wanting).await;
    let (got, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((got.len(), lost.len()), (1, 59));
    for answer in lost {
        refused(answer, Code::FailedPrecondition, "SOLD_OUT");
    }
    assert_eq!((bench.claims().await, bench.payments.asked()), (3, (1, 1)));
}

#[tokio::test]
async fn a_stay_completes_when_it_is_over() {
    let bench = Bench::new().await;
    bench.book(1).await.unwrap();
    bench.clock.set(at("2027-04-03T08:59:59Z"));
    bench.settle().await;
    assert_eq!(bench.status(1).await, ReservationStatus::Confirmed);
    bench.wait(SignedDuration::from_secs(1)).await;
    assert_eq!(bench.status(1).await, ReservationStatus::Completed);
    assert_eq!(bench.claims().await, 0);
}
