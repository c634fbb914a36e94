//! What makes no sense is an invalid request, and everything that is wrong is said at once.

use berth::{
    google::r#type::Date,
    offer::v1::{DateRange, Period, TimeRange, period::Kind},
    reservation::v1::{
        CancelReservationRequest, RejectReservationRequest, RequestReservationRequest,
    },
};
use prost_types::Timestamp;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::bench::{
    Bench, GUEST, booking_request, date, dates, eur, guest, host, hours, nights, of, refused, text,
};

fn fields(status: &Status) -> Vec<String> {
    let details = status.get_details_bad_request().unwrap();
    details
        .field_violations
        .into_iter()
        .map(|violation| violation.field)
        .collect()
}

fn times(start: Timestamp, end: Timestamp) -> Period {
    let range = TimeRange {
        start_time: Some(start),
        end_time: Some(end),
    };
    Period {
        kind: Some(Kind::Times(range)),
    }
}

#[tokio::test]
async fn all_violations_are_reported_at_once() {
    let bench = Bench::new().await;
    let status = bench.request(RequestReservationRequest {
        reservation_id: "1".into(),
        offer_id: String::new(),
        customer_id: "00000000-0000-0000-0000-000000000000".into(),
        period: None,
        quantity: -1,
        persons: 1001,
        payment_method: String::new(),
    });
    let status = status.await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let expected = [
        "reservation_id",
        "offer_id",
        "customer_id",
        "period",
        "quantity",
        "persons",
        "payment_method",
    ];
    assert_eq!(fields(&status), expected);
}

#[tokio::test]
async fn invalid_periods_are_refused() {
    let bench = Bench::new().await;
    let second = |seconds| Timestamp { seconds, nanos: 0 };
    let at = 1_806_573_600;
    let half = |end_date: Option<Date>| {
        let range = DateRange {
            start_date: Some(date(2027, 4, 1)),
            end_date,
        };
        Period {
            kind: Some(Kind::Dates(range)),
        }
    };
    for period in [
        Period { kind: None },
        half(None),
        half(Some(date(2027, 4, 0))),
        half(Some(date(2027, 0, 0))),
        nights(3, 3),
        nights(3, 1),
        nights(30, 31),
        dates(date(2027, 2, 28), date(2027, 2, 29)),
        dates(date(0, 1, 1), date(2027, 4, 1)),
        dates(date(1, 1, 1), date(9999, 12, 31)),
        dates(date(-1, 1, 1), date(i32::MAX, 12, 31)),
        dates(date(2027, 1, 1), date(2028, 1, 3)),
        hours("2027-04-01T10:00:00Z", "2027-04-01T10:00:00Z"),
        hours("2027-04-01T10:07:00Z", "2027-04-01T11:07:00Z"),
        hours("2027-04-01T10:00:00Z", "2027-04-01T10:30:00Z"),
        hours("2027-04-01T10:00:00Z", "2027-04-15T11:00:00Z"),
        times(
            second(at),
            Timestamp {
                seconds: at + 3600,
                nanos: -1,
            },
        ),
        times(
            second(at),
            Timestamp {
                seconds: at + 3600,
                nanos: i32::MAX,
            },
        ),
        times(second(i64::MIN), second(i64::MAX)),
        times(second(-62_135_596_800), second(253_402_300_799)),
    ] {
        let request = RequestReservationRequest {
            period: Some(period),
            ..booking_request(1)
        };
        refused(
            bench.request(request).await,
            Code::InvalidArgument,
            "INVALID_REQUEST",
        );
        refused(
            bench.availability(period, 1).await,
            Code::InvalidArgument,
            "INVALID_REQUEST",
        );
    }
}

#[tokio::test]
async fn extreme_times_are_refused_without_an_internal_error() {
    let bench = Bench::new().await;
    let first = dates(date(1, 1, 1), date(1, 1, 2));
    let last = dates(date(9999, 12, 30), date(9999, 12, 31));
    let ask = |period| {
        bench.request(RequestReservationRequest {
            period: Some(period),
            ..booking_request(1)
        })
    };
    refused(ask(first).await, Code::FailedPrecondition, "PERIOD_IN_PAST");
    refused(ask(last).await, Code::InvalidArgument, "TOO_FAR_AHEAD");
}

#[tokio::test]
async fn invalid_texts_and_numbers_are_refused() {
    let bench = Bench::new().await;
    let (max, min) = (i32::MAX, i32::MIN);
    for request in [
        RequestReservationRequest {
            quantity: 101,
            ..booking_request(1)
        },
        RequestReservationRequest {
            quantity: 100,
            period: Some(dates(date(2027, 4, 1), date(2027, 8, 1))),
            ..booking_request(1)
        },
        RequestReservationRequest {
            quantity: max,
            ..booking_request(1)
        },
        RequestReservationRequest {
            quantity: min,
            ..booking_request(1)
        },
        RequestReservationRequest {
            persons: max,
            ..booking_request(1)
        },
        RequestReservationRequest {
            persons: -1,
            ..booking_request(1)
        },
        RequestReservationRequest {
            payment_method: "a\0b".into(),
            ..booking_request(1)
        },
        RequestReservationRequest {
            payment_method: " ".into(),
            ..booking_request(1)
        },
        RequestReservationRequest {
            payment_method: "x".repeat(201),
            ..booking_request(1)
        },
        RequestReservationRequest {
            reservation_id: "'; DROP TABLE log; --".into(),
            ..booking_request(1)
        },
    ] {
        refused(
            bench.request(request).await,
            Code::InvalidArgument,
            "INVALID_REQUEST",
        );
    }
    assert_eq!(bench.claims().await, 0);
}

#[tokio::test]
async fn invalid_reasons_and_refunds_are_refused() {
    let bench = Bench::new().await;
    bench.book(1).await.unwrap();
    let cancel = |reason: String, expected_refund| {
        let request = CancelReservationRequest {
            reservation_id: text(1),
            reason,
            expected_refund,
        };
        let mut client = bench.client();
        async move { client.cancel_reservation(of(guest(GUEST), request)).await }
    };
    let dust = berth::google::r#type::Money {
        nanos: 1,
        ..eur(200)
    };
    let unknown = berth::google::r#type::Money {
        currency_code: "XXQ".into(),
        ..eur(200)
    };
    for (reason, refund) in [
        ("x".repeat(501), None),
        ("a\0b".into(), None),
        (String::new(), Some(dust)),
        (String::new(), Some(unknown)),
        (String::new(), Some(eur(i64::MAX))),
    ] {
        refused(
            cancel(reason, refund).await,
            Code::InvalidArgument,
            "INVALID_REQUEST",
        );
    }
    refused(
        cancel(String::new(), Some(eur(-200))).await,
        Code::Aborted,
        "REFUND_CHANGED",
    );
    let reject = RejectReservationRequest {
        reservation_id: text(1),
        reason: "\u{7}".into(),
    };
    let answer = bench.client().reject_reservation(of(host(), reject)).await;
    refused(answer, Code::InvalidArgument, "INVALID_REQUEST");
}
