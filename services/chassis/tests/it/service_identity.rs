//! Which service identities are trusted?

use berth::{common::v1::Role, payment::v1 as payment};
use chassis::{
    base::time::SignedDuration,
    error::status::reason_of,
    runtime::settings::{Settings, SettingsType},
    security::{
        service_identity::ServiceKey,
        tokens::{Trust, TrustSettings},
    },
};
use chassis_testing::noon;
use serde_json::{Value, json};
use tonic::Status;

use crate::{
    forged::{changed, signed},
    platform::{ADMIN, KID, Platform, claims, key, token, with},
};

fn header() -> Value {
    json!({"typ": "service+jwt", "alg": "EdDSA"})
}

fn good() -> Value {
    let now = noon().as_second();
    json!({"sub": "service:reservation", "aud": "payment", "iat": now, "exp": now + 60})
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
        ("no service", by_claim("sub", json!("reservation"))),
        ("nameless", by_claim("sub", json!("service:"))),
        (
            "an invalid name",
            by_claim("sub", json!("service:Re\nservation")),
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
    let (old, new) = (STANDARD.encode([7; 32]), STANDARD.encode([8; 32]));
    let both = ServiceKey::parse(&format!("{old}\n\n  {new}  \n")).unwrap();
    let mut platform = Platform::new();
    let clock = chassis::Clock::Manual(platform.clock.clone());
    platform.trust = Trust::new(TrustSettings::default(), Some(both.clone()), clock);
    for n in [7, 8] {
        let token = signed(&header(), &good(), &key(n));
        call(&platform, &[&token]).await.unwrap();
    }
    assert!(!format!("{both:?}").contains(&old));
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
        let error = ServiceKey::parse(bad).unwrap_err().to_string();
        assert!(bad.trim().is_empty() || !error.contains(bad), "{error}");
    }

    let settings = TrustSettings {
        service_key_file: Some("/nowhere/at/all".into()),
        ..TrustSettings::default()
    };
    assert!(settings.service_key().is_err());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n").unwrap();
    let settings = TrustSettings {
        service_key_file: Some(file),
        ..TrustSettings::default()
    };
    assert!(settings.service_key().unwrap().is_some());
    assert!(TrustSettings::default().service_key().unwrap().is_none());
}
