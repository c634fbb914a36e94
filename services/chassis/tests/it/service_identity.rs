//! Which service identities are trusted?

use berth::{common::v1::Role, payment::v1 as payment};
use chassis::{
    base::time::SignedDuration,
    error::status::reason_of,
    runtime::settings::{Settings, SettingsType},
    security::{
        service_identity::{ServiceKey, ServiceKeys},
        tokens::{Trust, TrustSettings},
    },
};
use chassis_testing::noon;
use serde_json::{Value, json};
use tonic::Status;

use crate::{
    forged::{changed, signed},
    platform::{
        ADMIN, KID, Platform, claims, foreign_key, key, service_key, service_keys, token, with,
    },
};

fn header() -> Value {
    json!({"typ": "service+jwt", "alg": "EdDSA", "kid": "reservation"})
}

fn good() -> Value {
    let now = noon().as_second();
    json!({"iss": "reservation", "aud": "payment", "iat": now, "exp": now + 60})
}

/// Calls an internal rpc with service tokens.
async fn call(platform: &Platform, tokens: &[&str]) -> Result<(), Status> {
    let headers: Vec<_> = tokens
        .iter()
        .map(|token| ("x-berth-service", *token))
        .collect();
    let request = with(payment::ChargePaymentRequest::default(), &headers);
    let answer = platform.payments().charge_payment(request).await;
    answer.map(|_| ())
}

#[tokio::test]
async fn no_forged_service_identity_is_trusted() {
    let platform = Platform::new();
    let now = noon().as_second();
    let ours = |claims: &Value| signed(&header(), claims, &key(7));
    let by_claim = |name: &str, value: Value| ours(&changed(good(), name, value));
    let genuine = ours(&good());
    call(&platform, &[&genuine]).await.unwrap();
    assert_eq!(
        platform.contexts.last().service.as_deref(),
        Some("reservation")
    );
    let mut without_exp = good();
    without_exp.as_object_mut().unwrap().remove("exp");
    let forged = [
        ("a person's token", token(ADMIN, &[Role::Admin])),
        (
            "a person's claims under the service key",
            claims(ADMIN, &[Role::Admin]).sign(KID, &key(7)).unwrap(),
        ),
        ("the key of member", signed(&header(), &good(), &key(1))),
        (
            "typ of a person's token",
            signed(&changed(header(), "typ", json!("JWT")), &good(), &key(7)),
        ),
        (
            "alg none",
            signed(&changed(header(), "alg", json!("none")), &good(), &key(7)),
        ),
        ("for another context", by_claim("aud", json!("room"))),
        ("several audiences", by_claim("aud", json!(["payment"]))),
        ("valid for an hour", by_claim("exp", json!(now + 3600))),
        (
            "valid for ever",
            by_claim("exp", json!(253_402_207_200_i64)),
        ),
        ("exp a text", by_claim("exp", json!((now + 60).to_string()))),
        ("exp missing", ours(&without_exp)),
        ("expired", by_claim("exp", json!(now - 6))),
        ("from the future", by_claim("iat", json!(now + 6))),
        ("in the name of another", by_claim("iss", json!("room"))),
        ("nameless", by_claim("iss", json!(""))),
        (
            "by a service in the name of another",
            signed(
                &changed(header(), "kid", json!("room")),
                &changed(good(), "iss", json!("room")),
                &key(7),
            ),
        ),
        (
            "in the name of another, under its own key",
            signed(&header(), &changed(good(), "iss", json!("room")), &key(8)),
        ),
        (
            "without the name of a key",
            signed(
                &json!({"typ": "service+jwt", "alg": "EdDSA"}),
                &good(),
                &key(7),
            ),
        ),
        (
            "an unknown service",
            signed(&changed(header(), "kid", json!("nobody")), &good(), &key(7)),
        ),
        (
            "by an operator who may inspect processes",
            signed(
                &changed(header(), "kid", json!("doctor")),
                &changed(good(), "iss", json!("doctor")),
                &key(10),
            ),
        ),
        ("cut off", genuine[..genuine.len() - 2].to_owned()),
        ("huge", by_claim("jti", json!("x".repeat(9000)))),
    ];
    for (name, token) in &forged {
        let status = call(&platform, &[token]).await.unwrap_err();
        let reason = reason_of(&status);
        assert_eq!(
            reason.as_deref(),
            Some("SERVICE_IDENTITY_REQUIRED"),
            "{name}"
        );
    }
    assert!(call(&platform, &[&genuine, &genuine]).await.is_err());
    // A token that was trusted once expires all the same.
    platform.clock.turn(SignedDuration::new(64, 999_000_000));
    call(&platform, &[&genuine]).await.unwrap();
    platform.clock.turn(SignedDuration::from_millis(1));
    assert!(call(&platform, &[&genuine]).await.is_err());
}

/// A key can be replaced without an interruption.
#[tokio::test]
async fn a_second_key_is_trusted_before_it_signs() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let line = |n| {
        format!(
            "  reservation {}  \n\n",
            STANDARD.encode(key(n).verifying_key())
        )
    };
    let both = ServiceKeys::parse(&[line(7), line(8)].concat()).unwrap();
    let mut platform = Platform::new();
    let clock = chassis::Clock::Manual(platform.clock.clone());
    platform.trust = Trust::new(TrustSettings::default(), both, clock);
    for n in [7, 8] {
        let token = signed(&header(), &good(), &key(n));
        call(&platform, &[&token]).await.unwrap();
    }
}

#[test]
fn the_default_settings_are_those_of_the_command_line() {
    let types = [SettingsType::of::<TrustSettings>()];
    let read = Settings::defaults(&types).unwrap().get::<TrustSettings>();
    assert_eq!(*read.unwrap(), TrustSettings::default());
}

#[test]
fn an_invalid_key_is_refused_and_not_shown() {
    for bad in ["", "\n", "AAAA", "not base64 !", &"A".repeat(100)] {
        let error = ServiceKey::parse("room", bad).unwrap_err().to_string();
        assert!(bad.trim().is_empty() || !error.contains(bad), "{error}");
    }
    let public = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    for bad in [
        "room",
        "room AAAA",
        "Room!",
        public,
        "room secret",
        "a/b AAAA",
    ] {
        let text = format!("room {public}\n{bad}\n");
        let error = ServiceKeys::parse(&text).unwrap_err().to_string();
        assert!(
            error.starts_with("line 2 ") && !error.contains(bad),
            "{error}"
        );
    }

    let settings = TrustSettings {
        service_key_file: Some("/nowhere/at/all".into()),
        service_keys: Some("/nowhere/at/all".into()),
        ..TrustSettings::default()
    };
    assert!(settings.service_key("room").is_err());
    assert!(settings.service_keys().is_err());
    let none = TrustSettings::default();
    assert!(none.service_key("room").unwrap().is_none());
    assert!(none.service_keys().unwrap().is_none());
}

#[test]
fn a_private_key_must_be_that_of_its_name() {
    let keys = service_keys();
    keys.require(&service_key("room")).unwrap();
    let wrong = [
        foreign_key("room"),
        foreign_key("nobody"),
        ServiceKey::parse("room", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap(),
    ];
    for key in wrong {
        keys.require(&key).unwrap_err();
        assert!(format!("{key:?} {keys:?}").len() < 100);
    }
}
