//! Are payments listed as they should be?

use berth::{
    common::v1::Role,
    payment::v1::{ListPaymentsRequest, ListPaymentsResponse},
};
use chassis::{Caller, MemberId, base::time::SignedDuration};
use tonic::{Code, Status};

use crate::bench::{Bench, admin, guest, of, order, payment};

async fn list(
    bench: &Bench,
    caller: Caller,
    page_size: i32,
    page_token: &str,
) -> Result<ListPaymentsResponse, Status> {
    let page_token = page_token.to_owned();
    let message = ListPaymentsRequest {
        page_size,
        page_token,
    };
    let answer = bench.client().list_payments(of(caller, message)).await?;
    Ok(answer.into_inner())
}

fn ids(page: &ListPaymentsResponse) -> Vec<String> {
    page.payments
        .iter()
        .map(|payment| payment.payment_id.clone())
        .collect()
}

#[tokio::test]
async fn the_callers_payments_are_listed_newest_first_in_pages() {
    let bench = Bench::new().await;
    for n in 1..=5 {
        // Two of them at the same time.
        if n != 3 {
            bench.clock.turn(SignedDuration::from_secs(1));
        }
        bench.charge(payment(n), "tok_approved").await.unwrap();
    }
    let mut foreign = order(payment(6), "tok_approved");
    foreign.customer_id = MemberId::from_u128(9).to_string();
    bench.charge_this(foreign).await.unwrap();

    let newest_first: Vec<_> = (1..=5).rev().map(|n| payment(n).to_string()).collect();
    let all = list(&bench, guest(), 0, "").await.unwrap();
    assert_eq!(
        (ids(&all), all.next_page_token.as_str()),
        (newest_first.clone(), "")
    );

    let (mut seen, mut token) = (Vec::new(), String::new());
    for size in [2, 2, 1] {
        let page = list(&bench, guest(), 2, &token).await.unwrap();
        assert_eq!(page.payments.len(), size);
        seen.extend(ids(&page));
        token = page.next_page_token;
    }
    assert_eq!((seen, token.as_str()), (newest_first, ""));

    assert_eq!(
        list(&bench, admin(), 0, "").await.unwrap().payments.len(),
        6
    );
    let page = list(&bench, admin(), 4, "").await.unwrap();
    let rest = list(&bench, admin(), 4, &page.next_page_token)
        .await
        .unwrap();
    assert_eq!((page.payments.len(), rest.payments.len()), (4, 2));
    let host = Caller::person(MemberId::from_u128(7), &[Role::Customer]);
    assert_eq!(list(&bench, host, 0, "").await.unwrap().payments, []);
}

#[tokio::test]
async fn a_payment_is_listed_as_it_is_now() {
    let bench = Bench::new().await;
    bench.charge(payment(1), "tok_timeout_after").await.unwrap();
    let pending = list(&bench, guest(), 0, "").await.unwrap().payments;
    assert_eq!(pending, [bench.get(payment(1)).await.unwrap()]);
    bench.rest().await;
    let paid = list(&bench, guest(), 0, "").await.unwrap().payments;
    assert_eq!(paid, [bench.get(payment(1)).await.unwrap()]);
    assert_ne!(pending, paid);
}

#[tokio::test]
async fn an_invalid_page_is_refused() {
    let bench = Bench::new().await;
    for (size, token) in [
        (-1, ""),
        (101, ""),
        (i32::MIN, ""),
        (0, "?"),
        (0, "AAAA"),
        (0, "\0"),
    ] {
        let refused = list(&bench, guest(), size, token).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{size} {token}");
    }
    let anonymous = list(&bench, Caller::default(), 0, "").await.unwrap_err();
    assert_eq!(anonymous.code(), Code::Unauthenticated);
}
