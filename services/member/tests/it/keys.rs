//! Can anybody verify a token with the keys that are published?

use berth::member::v1::{GetJsonWebKeysRequest, JsonWebKey, RotateKeysRequest};
use chassis::base::time::SignedDuration;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::Jwk};
use serde::Deserialize;
use tonic::Code;

use crate::bench::{ANN, Bench, admin, ann, bench, by};

const KEY: &str = "00000000-0000-0000-0000-00000000000a";

/// What an access token says, and nothing else.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) aud: String,
    pub(crate) sub: String,
    pub(crate) sid: String,
    pub(crate) jti: String,
    pub(crate) iat: f64,
    pub(crate) nbf: f64,
    pub(crate) exp: f64,
    pub(crate) roles: Vec<String>,
}

/// What a token says, verified with the keys that are published and nothing else.
pub(crate) async fn claims(bench: &Bench, token: &str) -> Claims {
    verify(&bench.trust().await.keys, token).unwrap()
}

fn verify(keys: &[JsonWebKey], token: &str) -> Option<Claims> {
    let header = decode_header(token).unwrap();
    assert_eq!(
        (header.alg, header.typ.as_deref()),
        (Algorithm::EdDSA, Some("JWT"))
    );
    let key = keys
        .iter()
        .find(|key| Some(&key.kid) == header.kid.as_ref())?;
    let jwk: Jwk = serde_json::from_value(serde_json::json!({
        "kty": key.kty, "crv": key.crv, "use": key.r#use, "alg": key.alg, "kid": key.kid, "x": key.x,
    }))
    .unwrap();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&["berth"]);
    validation.set_audience(&["berth"]);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "exp", "nbf"]);
    // The test's clock is not the machine's.
    validation.validate_exp = false;
    let key = DecodingKey::from_jwk(&jwk).unwrap();
    Some(decode(token, &key, &validation).ok()?.claims)
}

async fn published(bench: &Bench) -> Vec<JsonWebKey> {
    let mut client = bench.client.clone();
    let keys = client.get_json_web_keys(GetJsonWebKeysRequest {}).await;
    keys.unwrap().into_inner().keys
}

async fn rotate(bench: &Bench, key_id: &str) -> Vec<JsonWebKey> {
    let request = by(
        admin(),
        RotateKeysRequest {
            key_id: key_id.into(),
        },
    );
    let rotated = bench.client.clone().rotate_keys(request).await;
    rotated.unwrap().into_inner().keys
}

#[tokio::test]
async fn a_token_is_verified_with_the_published_keys() {
    let bench = bench().await;
    bench.join(ann()).await.unwrap();
    let tokens = bench.ann_signs_in().await;
    let claims = verify(&published(&bench).await, &tokens.access_token).unwrap();
    assert_eq!((&*claims.iss, &*claims.aud), ("berth", "berth"));
    assert_eq!(claims.sub, ANN.to_string());
    assert_eq!(claims.roles, ["CUSTOMER"]);
    let now = bench.clock.now().as_duration().as_secs_f64();
    assert!((claims.iat - now).abs() < 0.001 && (claims.nbf - now).abs() < 0.001);
    assert!((claims.exp - now - 900.0).abs() < 0.001);
}

#[tokio::test]
async fn a_forged_token_is_not_verified() {
    let bench = bench().await;
    bench.join(ann()).await.unwrap();
    let token = bench.ann_signs_in().await.access_token;
    let keys = published(&bench).await;
    let parts: Vec<&str> = token.split('.').collect();
    let other = bench.ann_signs_in().await.access_token;
    let other = other.split('.').nth(1).unwrap();
    let forged = format!("{}.{other}.{}", parts[0], parts[2]);
    assert!(verify(&keys, &token).is_some());
    assert!(verify(&keys, &forged).is_none());
}

#[tokio::test]
async fn the_key_is_made_once() {
    let bench = bench().await;
    let first = published(&bench).await;
    assert_eq!(first.len(), 1);
    assert_eq!(published(&bench).await, first);
    assert_eq!(bench.trust().await.keys, first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_need_a_key_at_once_get_the_same() {
    let bench = bench().await;
    let answers = futures::future::join_all((0..8).map(|_| published(&bench))).await;
    assert!(answers.iter().all(|keys| *keys == answers[0]));
    assert_eq!(answers[0].len(), 1);
}

#[tokio::test]
async fn a_rotation_keeps_the_former_tokens_good() {
    let bench = bench().await;
    bench.join(ann()).await.unwrap();
    let before = bench.ann_signs_in().await;
    let keys = rotate(&bench, KEY).await;
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0].kid, KEY);
    assert_eq!(rotate(&bench, KEY).await, keys);
    let after = bench.ann_signs_in().await;
    let header = decode_header(&after.access_token).unwrap();
    assert_eq!(header.kid.as_deref(), Some(KEY));
    bench.turn(SignedDuration::from_mins(15));
    let keys = published(&bench).await;
    assert!(verify(&keys, &before.access_token).is_some());
    assert!(verify(&keys, &after.access_token).is_some());
    bench.turn(SignedDuration::from_mins(10));
    let keys = published(&bench).await;
    assert_eq!(keys.len(), 1);
    assert!(verify(&keys, &before.access_token).is_none());
    // A session that began under the former key goes on under the new one.
    let next = bench.refresh(&before).await.unwrap();
    assert!(verify(&keys, &next.access_token).is_some());
    // A late repeat does not bring the former state back.
    assert_eq!(rotate(&bench, KEY).await, keys);
}

#[tokio::test]
async fn a_key_needs_an_id() {
    let bench = bench().await;
    let request = by(admin(), RotateKeysRequest { key_id: "x".into() });
    let refused = bench.client.clone().rotate_keys(request).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
}
