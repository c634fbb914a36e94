//! Which services are believed on the wire?

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

/// Knocks at what is internal with a service's token.
async fn knock(platform: &Platform, tokens: &[&str]) -> Result<(), Status> {
    let headers: Vec<_> = tokens
        .iter()
        .map(|token| ("x-berth-service", *token))
        .collect();
    let request = with(payment::ChargePaymentRequest::default(), &headers);
    let answer = platform.payments().charge_payment(request).await;
    answer.map(|_| ())
}

#[tokio::test]
async fn of_all_forged_identities_none_is_believed() {
    let platform = Platform::new();
    let now = noon().as_second();
    let ours = |claims: &Value| signed(&header(), claims, &key(7));
    let by_claim = |name: &str, value: Value| ours(&changed(good(), name, value));
    let genuine = ours(&good());
    knock(&platform, &[&genuine]).await.unwrap();
    assert_eq!(
        platform.heard.last().service.as_deref(),
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
        ("for many", by_claim("aud", json!(["payment"]))),
        ("good for an hour", by_claim("exp", json!(now + 3600))),
        ("good for ever", by_claim("exp", json!(253_402_207_200_i64))),
        ("exp a text", by_claim("exp", json!((now + 60).to_string()))),
        ("exp missing", ours(&without_exp)),
        ("expired", by_claim("exp", json!(now - 6))),
        ("from the future", by_claim("iat", json!(now + 6))),
        ("no service", by_claim("sub", json!("reservation"))),
        ("nameless", by_claim("sub", json!("service:"))),
        (
            "a strange name",
            by_claim("sub", json!("service:Re\nservation")),
        ),
        ("cut off", genuine[..genuine.len() - 2].to_owned()),
        ("huge", by_claim("jti", json!("x".repeat(9000)))),
    ];
    for (name, token) in &forged {
        let status = knock(&platform, &[token]).await.unwrap_err();
        let reason = reason_of(&status);
        assert_eq!(
            reason.as_deref(),
            Some("SERVICE_IDENTITY_REQUIRED"),
            "{name}"
        );
    }
    assert!(knock(&platform, &[&genuine, &genuine]).await.is_err());
    // What was believed once ends all the same.
    platform.clock.turn(SignedDuration::new(64, 999_000_000));
    knock(&platform, &[&genuine]).await.unwrap();
    platform.clock.turn(SignedDuration::from_millis(1));
    assert!(knock(&platform, &[&genuine]).await.is_err());
}

/// A key is replaced without a moment in which services do not know each other.
#[tokio::test]
async fn a_second_key_is_believed_before_it_signs() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let (old, new) = (STANDARD.encode([7; 32]), STANDARD.encode([8; 32]));
    let both = ServiceKey::parse(&format!("{old}\n\n  {new}  \n")).unwrap();
    let mut platform = Platform::new();
    let clock = chassis::Clock::Manual(platform.clock.clone());
    platform.trust = Trust::new(TrustSettings::default(), Some(both.clone()), clock);
    for n in [7, 8] {
        let token = signed(&header(), &good(), &key(n));
        knock(&platform, &[&token]).await.unwrap();
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
fn a_key_that_is_none_is_refused_and_not_shown() {
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
