//! Forged tokens: none is accepted.
//!
//! Threat: X3.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use berth::{common::v1::Role, payment::v1 as payment};
use chassis::{error::status::reason_of, security::tokens::MAX_TOKEN};
use chassis_testing::noon;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use tonic::Code;

use crate::platform::{CUSTOMER, KID, Platform, claims, key, token, with};

fn part(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

/// A token of any header and claims, signed as EdDSA does.
pub(crate) fn signed(header: &Value, claims: &Value, key: &SigningKey) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).to_bytes());
    format!("{message}.{signature}")
}

pub(crate) fn header() -> Value {
    json!({"typ": "JWT", "alg": "EdDSA", "kid": KID})
}

pub(crate) fn good() -> Value {
    serde_json::to_value(claims(CUSTOMER, &[Role::Customer])).unwrap()
}

pub(crate) fn changed(mut json: Value, name: &str, value: Value) -> Value {
    json[name] = value;
    json
}

fn without(mut json: Value, name: &str) -> Value {
    json.as_object_mut().unwrap().remove(name);
    json
}

/// HS256 with a public value as the secret.
fn hmac(header: &Value, secret: &[u8]) -> String {
    let mut given: jsonwebtoken::Header = serde_json::from_value(header.clone()).unwrap();
    given.alg = jsonwebtoken::Algorithm::HS256;
    jsonwebtoken::encode(
        &given,
        &good(),
        &jsonwebtoken::EncodingKey::from_secret(secret),
    )
    .unwrap()
}

#[expect(clippy::too_many_lines, reason = "a list")]
fn forgeries() -> Vec<(&'static str, String)> {
    let now = noon().as_second();
    let hour = 3600;
    let public = key(1).verifying_key().to_bytes();
    let other_key = key(9);
    let (head, body) = (part(&header()), part(&good()));
    let genuine = token(CUSTOMER, &[Role::Customer]);
    let signature = genuine.rsplit('.').next().unwrap().to_owned();
    let none = json!({"typ": "JWT", "alg": "none", "kid": KID});
    let ours = |claims: &Value| signed(&header(), claims, &key(1));
    let by_header =
        |name: &str, value: Value| signed(&changed(header(), name, value), &good(), &other_key);
    let by_claim = |name: &str, value: Value| ours(&changed(good(), name, value));
    let mut forged = vec![
        ("nothing", String::new()),
        ("two parts", format!("{head}.{body}")),
        ("four parts", format!("{genuine}.x")),
        (
            "alg none without signature",
            format!("{}.{body}.", part(&none)),
        ),
        (
            "alg none with a genuine signature",
            format!("{}.{body}.{signature}", part(&none)),
        ),
        (
            "alg NONE",
            signed(&changed(header(), "alg", json!("NONE")), &good(), &key(1)),
        ),
        (
            "alg missing",
            signed(&without(header(), "alg"), &good(), &key(1)),
        ),
        (
            "alg a list",
            signed(
                &changed(header(), "alg", json!(["EdDSA"])),
                &good(),
                &key(1),
            ),
        ),
        ("HS256 with the raw public key", hmac(&header(), &public)),
        (
            "HS256 with the public key as in the JWKS",
            hmac(&header(), URL_SAFE_NO_PAD.encode(public).as_bytes()),
        ),
        ("HS256 with an empty secret", hmac(&header(), b"")),
        (
            "RS256 in name",
            signed(&changed(header(), "alg", json!("RS256")), &good(), &key(1)),
        ),
        (
            "signed with another key",
            signed(&header(), &good(), &other_key),
        ),
        ("signature empty", format!("{head}.{body}.")),
        (
            "signature truncated",
            genuine[..genuine.len() - 4].to_owned(),
        ),
        (
            "signature of other claims",
            format!(
                "{head}.{}.{signature}",
                part(&changed(good(), "roles", json!(["ADMIN"])))
            ),
        ),
        ("signature with padding", format!("{genuine}==")),
        (
            "kid missing",
            signed(&without(header(), "kid"), &good(), &key(1)),
        ),
        ("kid unknown", by_header("kid", json!("key-2"))),
        ("kid empty", by_header("kid", json!(""))),
        (
            "kid a path",
            by_header("kid", json!("../../../../dev/null")),
        ),
        (
            "kid SQL",
            by_header("kid", json!("x' UNION SELECT 'secret")),
        ),
        (
            "kid a URL",
            by_header("kid", json!("https://evil.example/key")),
        ),
        ("kid a number", by_header("kid", json!(1))),
        (
            "jku  of another key",
            by_header("jku", json!("https://evil.example/jwks.json")),
        ),
        (
            "x5u  of another key",
            by_header("x5u", json!("https://evil.example/cert.pem")),
        ),
        (
            "jwk  of another key",
            by_header(
                "jwk",
                json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(other_key.verifying_key().as_bytes())}),
            ),
        ),
        (
            "crit",
            signed(&changed(header(), "crit", json!(["exp"])), &good(), &key(1)),
        ),
        (
            "typ of a service's token",
            signed(
                &changed(header(), "typ", json!("service+jwt")),
                &good(),
                &key(1),
            ),
        ),
        (
            "typ missing",
            signed(&without(header(), "typ"), &good(), &key(1)),
        ),
        ("foreign audience", by_claim("aud", json!("elsewhere"))),
        (
            "audience a list",
            by_claim("aud", json!(["berth", "elsewhere"])),
        ),
        ("audience null", by_claim("aud", Value::Null)),
        (
            "foreign issuer",
            by_claim("iss", json!("https://evil.example")),
        ),
        ("issuer a list", by_claim("iss", json!(["berth"]))),
        ("expired", by_claim("exp", json!(now - hour))),
        (
            "exp a text",
            by_claim("exp", json!((now + hour).to_string())),
        ),
        ("exp null", by_claim("exp", Value::Null)),
        ("exp a list", by_claim("exp", json!([now + hour]))),
        ("exp beyond time", by_claim("exp", json!(i64::MAX))),
        ("exp beyond numbers", by_claim("exp", json!(1e300))),
        ("nbf in the future", by_claim("nbf", json!(now + hour))),
        ("nbf a text", by_claim("nbf", json!("0"))),
        ("nbf an object", by_claim("nbf", json!({}))),
        ("iat in the future", by_claim("iat", json!(now + hour))),
        ("sub not an id", by_claim("sub", json!("admin"))),
        ("sub a number", by_claim("sub", json!(1))),
        (
            "sub the nil id",
            by_claim("sub", json!("00000000-0000-0000-0000-000000000000")),
        ),
        ("sid empty", by_claim("sid", json!(""))),
        ("jti empty", by_claim("jti", json!(""))),
        ("roles a text", by_claim("roles", json!("ADMIN"))),
        ("claims a list", ours(&json!([]))),
        ("claims given twice", {
            let twice = good().to_string().replacen(
                '{',
                "{\"sub\":\"00000000-0000-0000-0000-00000000000f\",",
                1,
            );
            let message = format!("{head}.{}", URL_SAFE_NO_PAD.encode(twice));
            let signature = URL_SAFE_NO_PAD.encode(key(1).sign(message.as_bytes()).to_bytes());
            format!("{message}.{signature}")
        }),
        ("huge", by_claim("jti", json!("x".repeat(MAX_TOKEN)))),
    ];
    for name in [
        "iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "roles",
    ] {
        forged.push(("a claim is missing", ours(&without(good(), name))));
    }
    forged
}

#[tokio::test]
async fn no_forged_token_is_accepted() {
    let platform = Platform::new();
    let forged = forgeries();
    assert!(forged.len() >= 30);
    // The genuine token is accepted, and so is the one that the forgeries are derived from.
    for genuine in [
        token(CUSTOMER, &[Role::Customer]),
        signed(&header(), &good(), &key(1)),
    ] {
        platform.trust.verify(&genuine).unwrap();
    }
    for (name, token) in forged {
        assert!(platform.trust.verify(&token).is_err(), "{name}");
        let header = format!("Bearer {token}");
        let request = with(
            payment::GetPaymentRequest::default(),
            &[("authorization", &header)],
        );
        let refused = platform.payments().get_payment(request).await;
        let status = refused.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{name}");
        assert_eq!(
            reason_of(&status).as_deref(),
            Some("UNAUTHENTICATED"),
            "{name}"
        );
        // The message is the same for every forgery. A missing token is reported as such.
        let message = if token.is_empty() {
            "authorization must be given once, as `Bearer` and an access token"
        } else {
            "the token is not valid; sign in again"
        };
        assert_eq!(status.message(), message, "{name}");
    }
    assert_eq!(platform.contexts.callers(), []);
}
