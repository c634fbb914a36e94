//! Does the service answer well?

use berth::{
    common::v1::Role,
    payment::v1::{ChargePaymentRequest, GetLedgerRequest, GetPaymentRequest, PaymentStatus},
};
use chassis::{Caller, MemberId, Money, error::status::reason_of};
use tonic::Code;
use tonic_types::StatusExt;

use crate::bench::{Bench, HOST, admin, approved, eur, guest, of, order, payment};

#[tokio::test]
async fn a_charge_returns_the_outcome_of_the_provider() {
    let bench = Bench::new().await;
    let paid = bench.charge(payment(1), "tok_approved").await.unwrap();
    assert_eq!(paid.status(), PaymentStatus::Paid);
    assert_eq!(paid.amount, Some(eur(10_000).into()));
    assert!(paid.provider_reference.starts_with("sim_"));
    assert_eq!(bench.get(payment(1)).await.unwrap(), paid);

    let declined = bench.charge(payment(2), "tok_declined").await.unwrap();
    assert_eq!(declined.status(), PaymentStatus::Declined);
    assert_eq!(declined.reason, "INSUFFICIENT_FUNDS");
    let declined = bench.charge(payment(3), "4111111111111111").await.unwrap();
    assert_eq!(declined.reason, "INVALID_METHOD");

    bench.rest().await;
    for id in [payment(1), payment(2), payment(3)] {
        bench.check(id, true).await;
    }
    assert_eq!(bench.events(payment(1)).await, ["PaymentApproved"]);
    assert_eq!(bench.events(payment(2)).await, ["PaymentDeclined"]);
    let log = bench.site.deps.store.log_of(payment(1).to_string()).await;
    let event = log.unwrap().remove(0);
    assert_eq!(event.cause.correlation, payment(1).to_string());
    assert_eq!(approved(&event.data), paid);
}

#[tokio::test]
async fn a_repeated_charge_has_the_same_response_and_no_effect() {
    let bench = Bench::new().await;
    let first = bench.charge(payment(1), "tok_approved").await.unwrap();
    let again = bench.charge(payment(1), "tok_approved").await.unwrap();
    assert_eq!(first, again);
    assert_eq!(bench.provider_ledger(payment(1)).await.requests, 1);
    assert_eq!(bench.events(payment(1)).await, ["PaymentApproved"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_charges_have_the_same_response_and_one_effect() {
    let bench = Bench::new().await;
    let charges = (0..20).map(|_| bench.charge(payment(1), "tok_approved"));
    let answers = futures::future::join_all(charges).await;
    for answer in &answers {
        assert_eq!(answer.as_ref().unwrap(), answers[0].as_ref().unwrap());
    }
    assert_eq!(bench.events(payment(1)).await, ["PaymentApproved"]);
    bench.check(payment(1), true).await;
}

#[tokio::test]
async fn a_charge_with_other_content_is_refused() {
    let bench = Bench::new().await;
    bench.charge(payment(1), "tok_approved").await.unwrap();
    let usd = Money::new("USD".parse().unwrap(), 10_000);
    let good = order(payment(1), "tok_approved");
    let others = [
        order(payment(1), "tok_other"),
        ChargePaymentRequest {
            amount: Some(eur(9_999).into()),
            ..good.clone()
        },
        ChargePaymentRequest {
            amount: Some(usd.into()),
            ..good.clone()
        },
        ChargePaymentRequest {
            customer_id: HOST.to_string(),
            ..good
        },
    ];
    for other in others {
        let refused = bench.charge_this(other).await.unwrap_err();
        assert_eq!(refused.code(), Code::AlreadyExists);
        assert_eq!(reason_of(&refused).unwrap(), "IDEMPOTENCY_KEY_REUSED");
        assert!(!refused.message().contains("tok_"));
    }
    bench.check(payment(1), true).await;
}

#[tokio::test]
async fn all_violations_of_a_charge_are_reported_at_once() {
    let bench = Bench::new().await;
    let empty = bench.charge_this(ChargePaymentRequest::default()).await;
    let empty = empty.unwrap_err();
    assert_eq!(empty.code(), Code::InvalidArgument);
    let details = empty.get_details_bad_request().unwrap();
    let fields: Vec<_> = details
        .field_violations
        .iter()
        .map(|violation| violation.field.as_str())
        .collect();
    let all = [
        "payment_id",
        "customer_id",
        "host_id",
        "amount",
        "payment_method",
    ];
    assert_eq!(fields, all);

    let good = order(payment(1), "tok_approved");
    let google = |units, nanos| berth::google::r#type::Money {
        currency_code: "EUR".into(),
        units,
        nanos,
    };
    let amounts = [
        google(0, 0),
        google(-1, 0),
        google(i64::MAX, 0),
        google(100_000_000_001, 0),
        google(1, 1),
        google(1, i32::MIN),
    ];
    let amounts = amounts.map(|amount| ChargePaymentRequest {
        amount: Some(amount),
        ..good.clone()
    });
    let methods = ["", "   ", "tok\0", &"x".repeat(201)].map(|method| ChargePaymentRequest {
        payment_method: method.into(),
        ..good.clone()
    });
    for bad in amounts.into_iter().chain(methods) {
        let refused = bench.charge_this(bad).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    assert!(bench.get(payment(1)).await.is_err());
}

#[tokio::test]
async fn a_payment_of_others_is_not_found() {
    let bench = Bench::new().await;
    bench.charge(payment(1), "tok_approved").await.unwrap();
    let get = |caller: Caller, n| {
        let payment_id = payment(n).to_string();
        let request = of(caller, GetPaymentRequest { payment_id });
        let mut client = bench.client();
        async move { client.get_payment(request).await }
    };
    let stranger = Caller::person(MemberId::from_u128(9), &[Role::Customer]);
    let foreign = get(stranger.clone(), 1).await.unwrap_err();
    let absent = get(stranger, 2).await.unwrap_err();
    assert_eq!(foreign.code(), Code::NotFound);
    assert_eq!(foreign.message(), absent.message());
    assert_eq!(foreign.details(), absent.details());
    let host = Caller::person(HOST, &[Role::Customer, Role::Host]);
    assert_eq!(get(host, 1).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(
        get(Caller::default(), 1).await.unwrap_err().code(),
        Code::NotFound
    );
    assert!(get(guest(), 1).await.is_ok());
    assert!(get(admin(), 1).await.is_ok());
}

#[tokio::test]
async fn an_invalid_id_is_refused() {
    let bench = Bench::new().await;
    for id in ["", "1", "00000000-0000-0000-0000-000000000000", "\0"] {
        let payment_id = id.to_owned();
        let request = of(guest(), GetPaymentRequest { payment_id });
        let refused = bench.client().get_payment(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        if !id.is_empty() {
            let payment_id = id.to_owned();
            let request = of(admin(), GetLedgerRequest { payment_id });
            let refused = bench.client().get_ledger(request).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument);
        }
    }
}
