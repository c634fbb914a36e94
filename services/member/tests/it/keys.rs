//! Published keys: verification of tokens and key rotation.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD};
use berth::member::v1::{GetJsonWebKeysRequest, JsonWebKey, RotateKeysRequest};
use chassis::{
    Clock,
    base::time::{self, SignedDuration},
    security::{
        service_identity::ServiceKeys,
        tokens::{Trust, TrustSettings, Untrusted},
    },
};
use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::Jwk};
use serde::Deserialize;
use tonic::{Code, Status};

use crate::fixture::{ANN, Fixture, admin, ann, by, fixture, refusal};

const KEY: &str = "00000000-0000-0000-0000-00000000000a";

/// The claims of an access token. Others are an error.
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

/// The claims of a token that is verified with the keys of `GetTrust`.
pub(crate) async fn claims(fixture: &Fixture, token: &str) -> Claims {
    verify(&fixture.trust().await.keys, token).unwrap()
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
    // The test has a manual clock.
    validation.validate_exp = false;
    let key = DecodingKey::from_jwk(&jwk).unwrap();
    Some(decode(token, &key, &validation).ok()?.claims)
}

async fn published(fixture: &Fixture) -> Vec<JsonWebKey> {
    let mut client = fixture.client.clone();
    let keys = client.get_json_web_keys(GetJsonWebKeysRequest {}).await;
    keys.unwrap().into_inner().keys
}

async fn rotate(fixture: &Fixture, key_id: &str) -> Vec<JsonWebKey> {
    try_rotate(fixture, key_id, false).await.unwrap()
}

async fn try_rotate(
    fixture: &Fixture,
    key_id: &str,
    at_once: bool,
) -> Result<Vec<JsonWebKey>, Status> {
    let key_id = key_id.into();
    let request = by(admin(), RotateKeysRequest { key_id, at_once });
    let rotated = fixture.client.clone().rotate_keys(request).await?;
    Ok(rotated.into_inner().keys)
}

/// A trust with the published keys.
async fn trust(fixture: &Fixture) -> Trust {
    let clock = Clock::Manual(fixture.clock.clone());
    let trust = Trust::new(TrustSettings::default(), ServiceKeys::default(), clock);
    trust.learn(fixture.trust().await);
    trust
}

#[tokio::test]
async fn a_token_is_verified_with_the_published_keys() {
    let fixture = fixture().await;
    fixture.join(ann()).await.unwrap();
    let tokens = fixture.ann_signs_in().await;
    let claims = verify(&published(&fixture).await, &tokens.access_token).unwrap();
    assert_eq!((&*claims.iss, &*claims.aud), ("berth", "berth"));
    assert_eq!(claims.sub, ANN.to_string());
    assert_eq!(claims.roles, ["CUSTOMER"]);
    let now = fixture.clock.now().as_duration().as_secs_f64();
    assert!((claims.iat - now).abs() < 0.001 && (claims.nbf - now).abs() < 0.001);
    assert!((claims.exp - now - 900.0).abs() < 0.001);
}

#[tokio::test]
async fn a_token_with_exchanged_claims_is_rejected() {
    let fixture = fixture().await;
    fixture.join(ann()).await.unwrap();
    let token = fixture.ann_signs_in().await.access_token;
    let keys = published(&fixture).await;
    let parts: Vec<&str> = token.split('.').collect();
    let other = fixture.ann_signs_in().await.access_token;
    let other = other.split('.').nth(1).unwrap();
    let forged = format!("{}.{other}.{}", parts[0], parts[2]);
    assert!(verify(&keys, &token).is_some());
    assert!(verify(&keys, &forged).is_none());
}

#[tokio::test]
async fn the_first_key_is_created_once() {
    let fixture = fixture().await;
    let first = published(&fixture).await;
    assert_eq!(first.len(), 1);
    assert_eq!(published(&fixture).await, first);
    assert_eq!(fixture.trust().await.keys, first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_first_requests_get_the_same_key() {
    let fixture = fixture().await;
    let results = futures::future::join_all((0..8).map(|_| published(&fixture))).await;
    assert!(results.iter().all(|keys| *keys == results[0]));
    assert_eq!(results[0].len(), 1);
}

#[tokio::test]
async fn tokens_of_the_former_key_are_valid_until_they_expire() {
    let fixture = fixture().await;
    fixture.join(ann()).await.unwrap();
    let before = fixture.ann_signs_in().await;
    let keys = rotate(&fixture, KEY).await;
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0].kid, KEY);
    assert_eq!(rotate(&fixture, KEY).await, keys);
    let after = fixture.ann_signs_in().await;
    let header = decode_header(&after.access_token).unwrap();
    assert_eq!(header.kid.as_deref(), Some(KEY));
    for tokens in [&before, &after] {
        trust(&fixture).await.verify(&tokens.access_token).unwrap();
    }
    // No token of it can be valid any more.
    fixture.advance(SignedDuration::from_mins(70));
    let keys = published(&fixture).await;
    assert_eq!(keys.len(), 1);
    assert!(verify(&keys, &before.access_token).is_none());
    // A session that began under the former key continues under the new one.
    let next = fixture.refresh(&before).await.unwrap();
    assert!(verify(&keys, &next.access_token).is_some());
    // A late repeat of the rotation changes nothing.
    assert_eq!(rotate(&fixture, KEY).await, keys);
}

#[tokio::test]
async fn a_former_key_retires_when_it_is_replaced() {
    let fixture = fixture().await;
    published(&fixture).await;
    fixture.advance(SignedDuration::from_hours(1));
    let now = time::to_proto(fixture.clock.now());
    let keys = rotate(&fixture, KEY).await;
    assert_eq!(keys[1].retire_time, Some(now));
    assert!(keys[0].retire_time.unwrap().seconds > now.seconds);
}

#[tokio::test]
async fn a_rotation_at_once_refuses_all_earlier_tokens_and_sessions_continue() {
    let fixture = fixture().await;
    fixture.join(ann()).await.unwrap();
    let before = fixture.ann_signs_in().await;
    trust(&fixture).await.verify(&before.access_token).unwrap();
    let keys = try_rotate(&fixture, KEY, true).await.unwrap();
    assert_eq!(keys.len(), 1);
    let refused = trust(&fixture).await.verify(&before.access_token);
    assert_eq!(refused, Err(Untrusted::UnknownKey));
    let next = fixture.refresh(&before).await.unwrap();
    trust(&fixture).await.verify(&next.access_token).unwrap();
    // A repeat changes nothing, and another rotation needs another id.
    assert_eq!(try_rotate(&fixture, KEY, true).await.unwrap(), keys);
    let other = try_rotate(&fixture, KEY, false).await.unwrap_err();
    assert_eq!(
        refusal(&other),
        (Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED".into())
    );
}

/// Another replica has made a new key, and this one must not sign with its own any more.
#[tokio::test]
async fn a_rotation_by_another_replica_retires_the_key_of_this_one() {
    let fixture = fixture().await;
    fixture.join(ann()).await.unwrap();
    let twin = fixture.twin();
    fixture.ann_signs_in().await;
    let mut client = twin.clone();
    let key_id = KEY.to_owned();
    let at_once = true;
    let request = by(admin(), RotateKeysRequest { key_id, at_once });
    client.rotate_keys(request).await.unwrap();
    let token = fixture.ann_signs_in().await.access_token;
    trust(&fixture).await.verify(&token).unwrap();
    assert_ne!(decode_header(&token).unwrap().kid.as_deref(), Some(KEY));
    assert_eq!(published(&fixture).await.len(), 2);
}

#[tokio::test]
async fn a_key_is_replaced_every_day() {
    let fixture = fixture().await;
    fixture.join(ann()).await.unwrap();
    let kid = async || {
        let token = fixture.ann_signs_in().await.access_token;
        trust(&fixture).await.verify(&token).unwrap();
        decode_header(&token).unwrap().kid.unwrap()
    };
    let first = kid().await;
    fixture.advance(SignedDuration::from_hours(23));
    assert_eq!(kid().await, first);
    fixture.advance(SignedDuration::from_hours(1));
    assert_ne!(kid().await, first);
}

/// A reader of the database cannot sign.
#[tokio::test]
async fn no_private_key_is_stored() {
    let fixture = fixture().await;
    fixture.join(ann()).await.unwrap();
    fixture.ann_signs_in().await;
    rotate(&fixture, KEY).await;
    fixture.ann_signs_in().await;
    let published: Vec<_> = published(&fixture)
        .await
        .into_iter()
        .map(|key| key.x)
        .collect();
    assert_eq!(published.len(), 2);
    let stored = fixture.stored().await;
    assert!(published.iter().all(|key| stored.contains(key)));
    let is_text = |c: char| c.is_ascii_alphanumeric() || "-_+/=".contains(c);
    let mut seeds = 0;
    for word in stored.split(|c| !is_text(c)) {
        let Ok(seed) = URL_SAFE_NO_PAD.decode(word) else {
            continue;
        };
        let Ok(seed) = <[u8; 32]>::try_from(seed) else {
            continue;
        };
        let public = SigningKey::from_bytes(&seed).verifying_key();
        assert!(!published.contains(&URL_SAFE_NO_PAD.encode(public)));
        seeds += 1;
    }
    assert!(seeds >= 2, "at least the public keys look like a seed");
}

#[tokio::test]
async fn a_rotation_needs_a_uuid_as_key_id() {
    let fixture = fixture().await;
    let refused = try_rotate(&fixture, "x", false).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
}
