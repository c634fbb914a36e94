//! Rpcs that need no token.

use berth::{common::v1::Role, payment::v1 as payment, room::v1 as room};
use chassis::{base::time::SignedDuration, security::tokens::LEEWAY};
use tonic::Code;

use crate::{
    access::{is, refusal},
    platform::{CUSTOMER, Platform, by, service_key, token, with},
};

#[tokio::test]
async fn everybody_may_call_a_public_rpc_and_a_bad_token_counts_as_none() {
    let platform = Platform::new();
    let request = room::GetRoomRequest::default();
    platform.rooms().get_room(request.clone()).await.unwrap();
    assert_eq!(platform.contexts.last().member, None);
    platform
        .rooms()
        .get_room(by(request.clone(), CUSTOMER, &[Role::Customer]))
        .await
        .unwrap();
    assert_eq!(platform.contexts.last().member, Some(CUSTOMER));

    let good = format!("Bearer {}", token(CUSTOMER, &[Role::Customer]));
    let forged = format!("{good}x");
    let mut bad = vec![vec![("authorization", &*good), ("authorization", &good)]];
    for one in [
        &forged,
        "Bearer nonsense",
        "Bearer",
        "Basic YTpi",
        "nonsense",
    ] {
        bad.push(vec![("authorization", one)]);
    }
    let calls = async |bad: &[Vec<(&'static str, &str)>]| {
        for headers in bad {
            let public = with(request.clone(), headers);
            platform.rooms().get_room(public).await.unwrap();
            let caller = platform.contexts.last();
            assert_eq!(
                (caller.member, caller.roles, caller.token),
                (None, vec![], None)
            );
            // Where a person is needed, it is refused.
            let payment = with(payment::GetPaymentRequest::default(), headers);
            let refused = platform.payments().get_payment(payment).await;
            assert_eq!(
                refusal(refused),
                is(Code::Unauthenticated, "UNAUTHENTICATED"),
                "{headers:?}"
            );
        }
    };
    calls(&bad).await;
    let ended = SignedDuration::from_mins(15) + LEEWAY;
    platform.clock.turn(ended);
    calls(&[vec![("authorization", &good)]]).await;
}

/// A service sees more on its own behalf than on that of a person.
#[tokio::test]
async fn a_service_does_not_act_on_its_own_behalf_when_the_token_that_it_passes_on_has_ended() {
    let platform = Platform::new();
    let now = platform.clock.now();
    let service = service_key("reservation").sign("payment", now).unwrap();
    let alone = [("x-berth-service", &*service)];
    let request = room::GetRoomRequest::default;
    platform
        .rooms()
        .get_room(with(request(), &alone))
        .await
        .unwrap();
    assert!(platform.contexts.last().service.is_some());
    let with_bad_token = [alone[0], ("authorization", "Bearer nonsense")];
    let public = with(request(), &with_bad_token);
    platform.rooms().get_room(public).await.unwrap();
    assert_eq!(platform.contexts.last().service, None);
    let internal = with(payment::ChargePaymentRequest::default(), &with_bad_token);
    let refused = platform.payments().charge_payment(internal).await;
    assert_eq!(
        refusal(refused),
        is(Code::Unauthenticated, "UNAUTHENTICATED")
    );
}
