//! Who may: what belongs to others looks as if it did not exist.

use berth::reservation::v1;
use chassis::Caller;
use tonic::{Code, Status};

use crate::bench::{Bench, GUEST, STRANGER, admin, guest, host, of, text};

/// Every rpc about one reservation, as somebody.
async fn every_rpc(
    bench: &Bench,
    caller: &Caller,
    id: u128,
) -> Vec<(&'static str, Option<Status>)> {
    let (mut client, id) = (bench.client(), text(id));
    macro_rules! call {
        ($method:ident, $request:ident $(, $field:ident: $value:expr)*) => {
            client
                .$method(of(caller.clone(), v1::$request { reservation_id: id.clone() $(, $field: $value)* }))
                .await
                .err()
        };
    }
    vec![
        ("get", call!(get_reservation, GetReservationRequest)),
        (
            "history",
            call!(get_reservation_history, GetReservationHistoryRequest),
        ),
        ("quote", call!(quote_cancellation, QuoteCancellationRequest)),
        ("pay", call!(pay_reservation, PayReservationRequest)),
        (
            "approve",
            call!(approve_reservation, ApproveReservationRequest),
        ),
        (
            "reject",
            call!(reject_reservation, RejectReservationRequest, reason: String::new()),
        ),
        (
            "cancel",
            call!(cancel_reservation, CancelReservationRequest, reason: String::new(), expected_refund: None),
        ),
    ]
}

fn same(one: &Status, other: &Status) -> bool {
    (one.code(), one.message(), one.details()) == (other.code(), other.message(), other.details())
}

#[tokio::test]
async fn a_reservation_of_others_is_not_found() {
    let bench = Bench::with_a_host().await;
    bench.book(1).await.unwrap();
    let foreign = every_rpc(&bench, &guest(STRANGER), 1).await;
    let absent = every_rpc(&bench, &guest(STRANGER), 2).await;
    for ((name, foreign), (_, absent)) in foreign.into_iter().zip(absent) {
        let (foreign, absent) = (foreign.unwrap(), absent.unwrap());
        assert_eq!(foreign.code(), Code::NotFound, "{name}");
        assert!(same(&foreign, &absent), "{name}: {foreign:?} {absent:?}");
    }
    assert_eq!(bench.get(1).await.version, 1);
}

#[tokio::test]
async fn the_guest_does_not_decide_and_the_host_does_not_pay() {
    let bench = Bench::with_a_host().await;
    bench.book(1).await.unwrap();
    let absent = every_rpc(&bench, &guest(STRANGER), 2).await;
    let denied = |caller: Caller, names: &'static [&'static str]| {
        let (bench, absent) = (&bench, &absent);
        async move {
            let answers = every_rpc(bench, &caller, 1).await;
            for ((name, answer), (_, absent)) in answers.into_iter().zip(absent) {
                let hidden = answer.is_some_and(|status| same(&status, absent.as_ref().unwrap()));
                assert_eq!(hidden, names.contains(&name), "{name}");
            }
        }
    };
    denied(guest(GUEST), &["approve", "reject"]).await;
    denied(host(), &["pay"]).await;
    denied(admin(), &[]).await;
}

#[tokio::test]
async fn an_anonymous_caller_is_unauthenticated() {
    let bench = Bench::new().await;
    bench.book(1).await.unwrap();
    for (name, status) in every_rpc(&bench, &Caller::default(), 1).await {
        let code = status.unwrap().code();
        assert!(
            matches!(code, Code::NotFound | Code::Unauthenticated),
            "{name} {code:?}"
        );
    }
}
