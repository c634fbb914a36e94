//! Which tokens are trusted, and for how long?

use berth::{common::v1::Role, member::v1 as member, payment::v1 as payment};
use chassis::{
    Access, Clock,
    base::{faults::Faults, time, time::SignedDuration},
    client::{peers::Peers, trust_renewal},
    error::status::reason_of,
    security::{
        claims::LONGEST_LIFE,
        tokens::{Trust, TrustSettings, Untrusted},
    },
};
use chassis_testing::noon;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic_types::StatusExt;

use crate::{
    forged::{changed, good, header, signed},
    platform::{
        ADMIN, Behavior, CUSTOMER, KID, OTHER, Platform, by, claims, jwk, key, service_keys, token,
        trust_response, with,
    },
};

#[test]
fn the_clocks_of_two_services_may_be_five_seconds_apart_and_no_more() {
    let platform = Platform::new();
    let token = token(CUSTOMER, &[]);
    let at = |seconds: i64, nanos: i32| {
        platform
            .clock
            .set(noon() + SignedDuration::new(seconds, nanos));
        platform.trust.verify(&token).map(|_| ())
    };
    assert_eq!(at(-5, -1000), Err(Untrusted::NotYet));
    assert_eq!(at(-5, 0), Ok(()));
    assert_eq!(at(15 * 60 + 4, 999_999_000), Ok(()));
    assert_eq!(at(15 * 60 + 5, 0), Err(Untrusted::Expired));
    assert_eq!(at(i64::from(u32::MAX), 0), Err(Untrusted::Expired));
    assert_eq!(at(0, 0), Ok(()));
}

#[test]
fn a_revoked_token_is_refused_at_once_even_if_it_was_accepted_before() {
    let platform = Platform::new();
    let (token, other) = (token(CUSTOMER, &[]), token(OTHER, &[]));
    platform.trust.verify(&token).unwrap();
    platform.trust.learn(member::GetTrustResponse {
        revoked_sessions: vec![format!("session of {CUSTOMER}")],
        ..trust_response()
    });
    assert_eq!(platform.trust.verify(&token), Err(Untrusted::Revoked));
    platform.trust.verify(&other).unwrap();

    let revoked = |after: SignedDuration| member::GetTrustResponse {
        revoked_members: vec![member::RevokedMember {
            member_id: OTHER.to_string(),
            issued_before: Some(time::to_proto(noon() + after)),
        }],
        ..trust_response()
    };
    platform.trust.learn(revoked(SignedDuration::ZERO));
    platform.trust.verify(&other).unwrap();
    platform
        .trust
        .learn(revoked(SignedDuration::from_micros(1)));
    assert_eq!(platform.trust.verify(&other), Err(Untrusted::Revoked));
    platform.trust.verify(&token).unwrap();
}

/// A member who is revoked may sign in again within the same second.
#[test]
fn a_token_issued_just_after_a_revocation_is_valid() {
    let platform = Platform::new();
    let just_after = noon() + SignedDuration::from_micros(300_001);
    let mut claims = claims(CUSTOMER, &[]);
    (claims.iat, claims.nbf) = (just_after, just_after);
    let token = claims.sign(KID, &key(1)).unwrap();
    let revoked = |micros| member::GetTrustResponse {
        revoked_members: vec![member::RevokedMember {
            member_id: CUSTOMER.to_string(),
            issued_before: Some(time::to_proto(noon() + SignedDuration::from_micros(micros))),
        }],
        ..trust_response()
    };
    platform.trust.learn(revoked(300_001));
    assert_eq!(platform.trust.verify(&token).unwrap().iat, just_after);
    platform.trust.learn(revoked(300_002));
    assert_eq!(platform.trust.verify(&token), Err(Untrusted::Revoked));
}

#[test]
fn the_tokens_of_a_removed_key_are_refused() {
    let platform = Platform::new();
    let token = token(CUSTOMER, &[]);
    platform.trust.verify(&token).unwrap();
    let both = vec![jwk("key-2", &key(2)), jwk(KID, &key(1))];
    platform.trust.learn(member::GetTrustResponse {
        keys: both,
        ..trust_response()
    });
    platform.trust.verify(&token).unwrap();
    let new = vec![jwk("key-2", &key(2))];
    platform.trust.learn(member::GetTrustResponse {
        keys: new,
        ..trust_response()
    });
    assert_eq!(platform.trust.verify(&token), Err(Untrusted::UnknownKey));
    let renewed = claims(CUSTOMER, &[]).sign("key-2", &key(2)).unwrap();
    platform.trust.verify(&renewed).unwrap();
    // A new key with an old id does not make the old tokens valid.
    platform.trust.learn(member::GetTrustResponse {
        keys: vec![jwk(KID, &key(3))],
        ..trust_response()
    });
    assert_eq!(platform.trust.verify(&token), Err(Untrusted::Forged));
}

#[test]
fn a_token_issued_after_its_key_retired_is_refused() {
    let platform = Platform::new();
    let retires = |seconds| {
        platform.trust.learn(member::GetTrustResponse {
            keys: vec![member::JsonWebKey {
                retire_time: Some(time::to_proto(noon() + SignedDuration::from_secs(seconds))),
                ..jwk(KID, &key(1))
            }],
            ..trust_response()
        });
    };
    let issued = |seconds| {
        let mut claims = claims(CUSTOMER, &[]);
        claims.iat = noon() + SignedDuration::from_secs(seconds);
        claims.sign(KID, &key(1)).unwrap()
    };
    platform.clock.turn(SignedDuration::from_mins(2));
    let (before, within, after) = (issued(0), issued(64), issued(65));
    for token in [&before, &within, &after] {
        platform.trust.verify(token).unwrap();
    }
    retires(60);
    platform.trust.verify(&before).unwrap();
    // Clocks may differ by 5 seconds.
    platform.trust.verify(&within).unwrap();
    assert_eq!(platform.trust.verify(&after), Err(Untrusted::KeyRetired));
    retires(-6);
    assert_eq!(platform.trust.verify(&before), Err(Untrusted::KeyRetired));
    // A time that cannot be read never comes.
    platform.trust.learn(member::GetTrustResponse {
        keys: vec![member::JsonWebKey {
            retire_time: Some(prost_types::Timestamp {
                seconds: 0,
                nanos: -1,
            }),
            ..jwk(KID, &key(1))
        }],
        ..trust_response()
    });
    assert_eq!(platform.trust.verify(&before), Err(Untrusted::KeyRetired));
}

/// Whatever lifetime was configured when it was issued, a revocation is published for as long as a token can be valid.
#[test]
fn a_token_that_claims_a_longer_life_than_any_may_have_is_refused() {
    let platform = Platform::new();
    let mut claims = claims(CUSTOMER, &[]);
    claims.exp = claims.iat + LONGEST_LIFE;
    let longest = claims.sign(KID, &key(1)).unwrap();
    platform.trust.verify(&longest).unwrap();
    claims.exp += SignedDuration::from_micros(1);
    let longer = claims.sign(KID, &key(1)).unwrap();
    assert_eq!(platform.trust.verify(&longer), Err(Untrusted::TooLongLife));
}

#[test]
fn an_unusable_key_is_ignored() {
    let platform = Platform::new();
    let good = jwk(KID, &key(1));
    let bad = [
        member::JsonWebKey {
            kty: "oct".into(),
            ..good.clone()
        },
        member::JsonWebKey {
            alg: "HS256".into(),
            ..good.clone()
        },
        member::JsonWebKey {
            crv: "Ed448".into(),
            ..good.clone()
        },
        member::JsonWebKey {
            x: "AAAA".into(),
            ..good.clone()
        },
        member::JsonWebKey {
            x: "?".into(),
            ..good
        },
    ];
    for bad in bad {
        platform.trust.learn(member::GetTrustResponse {
            keys: vec![bad],
            ..trust_response()
        });
        assert_eq!(
            platform.trust.verify(&token(CUSTOMER, &[])),
            Err(Untrusted::UnknownKey)
        );
    }
}

#[test]
fn a_role_of_a_later_version_grants_nothing() {
    let platform = Platform::new();
    let json = changed(
        good(),
        "roles",
        json!(["JANITOR", "UNSPECIFIED", "admin", "ROLE_ADMIN", "HOST"]),
    );
    let claims = platform
        .trust
        .verify(&signed(&header(), &json, &key(1)))
        .unwrap();
    assert_eq!(claims.roles, [Role::Host]);
}

fn peers(platform: &Platform) -> (Peers, Faults) {
    let faults = Faults::default();
    let peers = Peers::with(Clock::Manual(platform.clock.clone()), faults.clone(), None);
    peers.add_local(
        "member",
        Access::new(&platform.trust).guard("member", platform.bare()),
    );
    (peers, faults)
}

#[tokio::test]
async fn while_member_is_down_the_last_copy_stays_in_force() {
    let platform = Platform::new();
    let (peers, faults) = peers(&platform);
    let admin = token(ADMIN, &[Role::Admin]);
    *platform.contexts.trust.lock().unwrap() = member::GetTrustResponse {
        revoked_sessions: vec![format!("session of {CUSTOMER}")],
        ..trust_response()
    };
    trust_renewal::refresh_once(&platform.trust, &peers)
        .await
        .unwrap();
    assert_eq!(platform.contexts.last().service.as_deref(), Some("trust"));
    let unchanged = || {
        platform.trust.verify(&admin).unwrap();
        assert_eq!(
            platform.trust.verify(&token(CUSTOMER, &[])),
            Err(Untrusted::Revoked)
        );
    };
    unchanged();
    faults.arm("peer.member", 3);
    assert_eq!(
        trust_renewal::refresh_once(&platform.trust, &peers)
            .await
            .unwrap_err()
            .code(),
        Code::Unavailable
    );
    unchanged();
    platform.contexts.behave(Behavior::Fails(Code::Internal));
    assert_eq!(
        trust_renewal::refresh_once(&platform.trust, &peers)
            .await
            .unwrap_err()
            .code(),
        Code::Internal
    );
    unchanged();
}

/// The first token of a new key is not refused: the request waits for the key.
#[tokio::test(start_paused = true)]
async fn a_request_with_a_new_key_waits_for_the_renewal() {
    let platform = Platform::new();
    let (peers, _) = peers(&platform);
    let stop = CancellationToken::new();
    let following = tokio::spawn(trust_renewal::follow(
        platform.trust.clone(),
        peers,
        stop.clone(),
    ));
    while platform.contexts.callers().is_empty() {
        tokio::task::yield_now().await;
    }
    *platform.contexts.trust.lock().unwrap() = member::GetTrustResponse {
        keys: vec![jwk("key-2", &key(2)), jwk(KID, &key(1))],
        ..trust_response()
    };
    let new = claims(CUSTOMER, &[Role::Customer])
        .sign("key-2", &key(2))
        .unwrap();
    let request = || {
        with(
            payment::GetPaymentRequest::default(),
            &[("authorization", &format!("Bearer {new}"))],
        )
    };
    platform.payments().get_payment(request()).await.unwrap();
    // An unknown key is refused after that, and does not cause more renewals than allowed.
    let renewals = platform.contexts.callers().len();
    let unknown = claims(CUSTOMER, &[Role::Customer])
        .sign("key-3", &key(3))
        .unwrap();
    let begin = tokio::time::Instant::now();
    for _ in 0..10 {
        let request = with(
            payment::GetPaymentRequest::default(),
            &[("authorization", &format!("Bearer {unknown}"))],
        );
        assert_eq!(
            platform
                .payments()
                .get_payment(request)
                .await
                .unwrap_err()
                .code(),
            Code::Unauthenticated
        );
    }
    let took = begin.elapsed().as_secs_f64();
    assert!(platform.contexts.callers().len() - renewals <= 11, "{took}");
    assert!(took >= 2.25, "{took}");
    stop.cancel();
    following.await.unwrap();
}

/// A process without keys yet does not refuse a token as invalid.
#[tokio::test(start_paused = true)]
async fn without_keys_a_token_is_neither_valid_nor_invalid() {
    let mut platform = Platform::new();
    let (peers, faults) = peers(&platform);
    let clock = Clock::Manual(platform.clock.clone());
    platform.trust = Trust::new(TrustSettings::default(), service_keys(), clock);
    faults.arm("peer.member", 9);
    let stop = CancellationToken::new();
    let following = tokio::spawn(trust_renewal::follow(
        platform.trust.clone(),
        peers,
        stop.clone(),
    ));
    let call = async || {
        let by_customer = by(
            payment::GetPaymentRequest::default(),
            CUSTOMER,
            &[Role::Customer],
        );
        platform.payments().get_payment(by_customer).await
    };
    let refused = call().await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(reason_of(&refused).as_deref(), Some("TRUST_UNAVAILABLE"));
    assert!(refused.get_details_retry_info().is_some());
    while faults.is_armed("peer.member") {
        tokio::task::yield_now().await;
        tokio::time::advance(std::time::Duration::from_millis(10)).await;
    }
    // It tries again soon, long before the next renewal is due.
    call().await.unwrap();
    stop.cancel();
    following.await.unwrap();
}
