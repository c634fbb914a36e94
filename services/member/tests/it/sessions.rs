//! Sessions: sign-in, refresh, sign-out, revocation.

use berth::{
    common::v1::Role,
    member::v1::{SetRolesRequest, SuspendMemberRequest},
};
use chassis::{
    Clock,
    base::time::{SignedDuration, to_proto},
    security::{
        service_identity::ServiceKeys,
        tokens::{Trust, TrustSettings, Untrusted},
    },
};
use tonic::Code;

use crate::{
    fixture::{ANN, Fixture, PASSWORD, admin, ann, by, fixture, fixture_with, refusal},
    keys::{Claims, claims},
};

const OTHER: &str = "another password";

async fn with_ann() -> Fixture {
    let fixture = fixture().await;
    fixture.join(ann()).await.unwrap();
    fixture
}

fn refused(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

#[tokio::test]
async fn a_sign_in_returns_tokens_with_their_expiry() {
    let fixture = with_ann().await;
    let signed_in = fixture.sign_in("ANN@example.org", PASSWORD).await.unwrap();
    let member = signed_in.member.unwrap();
    assert_eq!(member.member_id, ANN.to_string());
    let tokens = signed_in.tokens.unwrap();
    let at = |seconds| {
        let at = fixture
            .clock
            .now()
            .checked_add(SignedDuration::from_secs(seconds));
        Some(to_proto(at.unwrap()))
    };
    assert_eq!(tokens.access_expire_time, at(15 * 60));
    assert_eq!(tokens.refresh_expire_time, at(30 * 24 * 60 * 60));
}

#[tokio::test]
async fn the_lifetimes_of_tokens_are_settings() {
    let flags = ["--access-token-seconds=60", "--refresh-token-days=1"];
    let fixture = fixture_with(&flags).await;
    fixture.join(ann()).await.unwrap();
    let tokens = fixture.ann_signs_in().await;
    let Claims { nbf, exp, .. } = claims(&fixture, &tokens.access_token).await;
    assert!((exp - nbf - 60.0).abs() < 0.001);
    fixture.advance(SignedDuration::from_hours(24));
    let error = fixture.refresh(&tokens).await.unwrap_err();
    assert_eq!(
        refusal(&error),
        refused(Code::Unauthenticated, "SESSION_ENDED")
    );
}

#[tokio::test]
async fn a_session_continues_while_its_refresh_token_is_exchanged_in_time() {
    let fixture = with_ann().await;
    let mut tokens = fixture.ann_signs_in().await;
    let first = claims(&fixture, &tokens.access_token).await;
    for _ in 0..5 {
        fixture.advance(SignedDuration::from_hours(29 * 24));
        tokens = fixture.refresh(&tokens).await.unwrap();
    }
    let last = claims(&fixture, &tokens.access_token).await;
    assert_eq!(last.sid, first.sid);
    assert_ne!(last.jti, first.jti);
    fixture.advance(SignedDuration::from_hours(30 * 24));
    let error = fixture.refresh(&tokens).await.unwrap_err();
    assert_eq!(
        refusal(&error),
        refused(Code::Unauthenticated, "SESSION_ENDED")
    );
}

#[tokio::test]
async fn a_former_refresh_token_ends_the_session() {
    let fixture = with_ann().await;
    let first = fixture.ann_signs_in().await;
    let second = fixture.refresh(&first).await.unwrap();
    let third = fixture.refresh(&second).await.unwrap();
    let sid = claims(&fixture, &first.access_token).await.sid;
    assert!(fixture.trust().await.revoked_sessions.is_empty());
    for _ in 0..2 {
        let error = fixture.refresh(&first).await.unwrap_err();
        assert_eq!(
            refusal(&error),
            refused(Code::Unauthenticated, "TOKEN_REUSED")
        );
    }
    let error = fixture.refresh(&third).await.unwrap_err();
    assert_eq!(
        refusal(&error),
        refused(Code::Unauthenticated, "SESSION_ENDED")
    );
    assert_eq!(fixture.trust().await.revoked_sessions, [sid]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_concurrent_exchanges_of_a_token_all_succeed_and_one_continues() {
    let fixture = with_ann().await;
    for _ in 0..10 {
        let tokens = fixture.ann_signs_in().await;
        let both = tokio::join!(fixture.refresh(&tokens), fixture.refresh(&tokens));
        let [one, other] = [both.0.unwrap(), both.1.unwrap()];
        assert_ne!(one.refresh_token, other.refresh_token);
        assert!(!is_revoked(&fixture, &one.access_token).await);
        let next = fixture.refresh(&other).await.unwrap();
        fixture.refresh(&next).await.unwrap();
        // The tokens of one client are the former ones of the other.
        let error = fixture.refresh(&one).await.unwrap_err();
        assert_eq!(
            refusal(&error),
            refused(Code::Unauthenticated, "TOKEN_REUSED")
        );
    }
}

#[tokio::test]
async fn an_exchange_whose_answer_is_lost_can_be_repeated_for_a_minute() {
    let fixture = with_ann().await;
    let tokens = fixture.ann_signs_in().await;
    fixture.refresh(&tokens).await.unwrap();
    fixture.advance(SignedDuration::from_secs(59));
    let next = fixture.refresh(&tokens).await.unwrap();
    fixture.advance(SignedDuration::from_secs(60));
    let next = fixture.refresh(&next).await.unwrap();
    fixture.advance(SignedDuration::from_secs(1));
    fixture.refresh(&next).await.unwrap();
    fixture.advance(SignedDuration::from_secs(60));
    let error = fixture.refresh(&next).await.unwrap_err();
    assert_eq!(
        refusal(&error),
        refused(Code::Unauthenticated, "TOKEN_REUSED")
    );
}

#[tokio::test]
async fn a_malformed_or_foreign_refresh_token_changes_nothing() {
    let fixture = with_ann().await;
    let mut tokens = fixture.ann_signs_in().await;
    let valid = tokens.refresh_token.clone();
    // The id of this session with the secrets of another one. It must not end the session.
    let other = fixture.ann_signs_in().await.refresh_token;
    tokens.refresh_token = format!("{}{}", &valid[..22], &other[22..]);
    let error = fixture.refresh(&tokens).await.unwrap_err();
    assert_eq!(
        refusal(&error),
        refused(Code::Unauthenticated, "SESSION_ENDED")
    );
    for malformed in ["", "x", "\0", &"é".repeat(43), &"a".repeat(100_000)] {
        tokens.refresh_token = malformed.into();
        let error = fixture.refresh(&tokens).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
    }
    tokens.refresh_token = valid;
    fixture.refresh(&tokens).await.unwrap();
}

#[tokio::test]
async fn a_sign_out_ends_the_session_and_no_other() {
    let fixture = with_ann().await;
    let (here, there) = (fixture.ann_signs_in().await, fixture.ann_signs_in().await);
    for token in [&here.refresh_token, &here.refresh_token, "", "nonsense"] {
        fixture.sign_out(token.to_owned()).await;
    }
    let error = fixture.refresh(&here).await.unwrap_err();
    assert_eq!(
        refusal(&error),
        refused(Code::Unauthenticated, "SESSION_ENDED")
    );
    fixture.refresh(&there).await.unwrap();
    let sid = claims(&fixture, &here.access_token).await.sid;
    assert_eq!(fixture.trust().await.revoked_sessions, [sid]);
}

#[tokio::test]
async fn a_revocation_is_published_until_no_concerned_token_is_valid() {
    let fixture = with_ann().await;
    fixture
        .sign_out(fixture.ann_signs_in().await.refresh_token)
        .await;
    set_roles(&fixture, &[Role::Host]).await;
    // Also those that were issued when a longer lifetime was configured.
    fixture.advance(SignedDuration::from_mins(60));
    let trust = fixture.trust().await;
    assert_eq!(
        (trust.revoked_sessions.len(), trust.revoked_members.len()),
        (1, 1)
    );
    fixture.advance(SignedDuration::from_mins(11));
    let trust = fixture.trust().await;
    assert_eq!(
        (trust.revoked_sessions.len(), trust.revoked_members.len()),
        (0, 0)
    );
}

#[tokio::test]
async fn a_suspension_revokes_access_tokens_and_ends_sessions() {
    let fixture = with_ann().await;
    let tokens = fixture.ann_signs_in().await;
    suspend(&fixture, true).await;
    assert!(is_revoked(&fixture, &tokens.access_token).await);
    let error = fixture.refresh(&tokens).await.unwrap_err();
    assert_eq!(
        refusal(&error),
        refused(Code::Unauthenticated, "MEMBER_SUSPENDED")
    );
    suspend(&fixture, false).await;
    let error = fixture.refresh(&tokens).await.unwrap_err();
    assert_eq!(
        refusal(&error),
        refused(Code::Unauthenticated, "SESSION_ENDED")
    );
    let tokens = fixture.ann_signs_in().await;
    assert!(!is_revoked(&fixture, &tokens.access_token).await);
}

#[tokio::test]
async fn new_roles_revoke_the_former_token_and_are_in_the_next_one() {
    let fixture = with_ann().await;
    let before = fixture.ann_signs_in().await;
    set_roles(&fixture, &[Role::Host, Role::Admin]).await;
    assert!(is_revoked(&fixture, &before.access_token).await);
    let after = fixture.refresh(&before).await.unwrap();
    assert!(!is_revoked(&fixture, &after.access_token).await);
    let Claims { roles, .. } = claims(&fixture, &after.access_token).await;
    assert_eq!(roles, ["HOST", "ADMIN"]);
    // The clock stands still, and still the second revocation is later than the first.
    set_roles(&fixture, &[Role::Customer]).await;
    assert!(is_revoked(&fixture, &after.access_token).await);
}

#[tokio::test]
async fn a_password_change_ends_all_other_sessions() {
    let fixture = with_ann().await;
    let (here, there) = (fixture.ann_signs_in().await, fixture.ann_signs_in().await);
    fixture
        .change_password(&here, PASSWORD, OTHER)
        .await
        .unwrap();
    assert!(is_revoked(&fixture, &there.access_token).await);
    let error = fixture.refresh(&there).await.unwrap_err();
    assert_eq!(
        refusal(&error),
        refused(Code::Unauthenticated, "SESSION_ENDED")
    );
    let here = fixture.refresh(&here).await.unwrap();
    assert!(!is_revoked(&fixture, &here.access_token).await);
    let old = fixture
        .sign_in("ann@example.org", PASSWORD)
        .await
        .unwrap_err();
    assert_eq!(
        refusal(&old),
        refused(Code::Unauthenticated, "BAD_CREDENTIALS")
    );
    fixture.sign_in("ann@example.org", OTHER).await.unwrap();
}

#[tokio::test]
async fn a_password_change_needs_the_old_password_and_confirms_no_other() {
    let fixture = with_ann().await;
    let tokens = fixture.ann_signs_in().await;
    for n in 0..11 {
        // The new password is the current one, which the answer must not reveal.
        let change = fixture.change_password(&tokens, "wrong", PASSWORD).await;
        let expected = match n {
            0..10 => refused(Code::Unauthenticated, "BAD_CREDENTIALS"),
            _ => refused(Code::ResourceExhausted, "TOO_MANY_ATTEMPTS"),
        };
        assert_eq!(refusal(&change.unwrap_err()), expected);
    }
    let here = fixture.sign_in("ann@example.org", PASSWORD).await;
    assert_eq!(here.unwrap_err().code(), Code::ResourceExhausted);
    let short = fixture.change_password(&tokens, PASSWORD, "short").await;
    assert_eq!(short.unwrap_err().code(), Code::InvalidArgument);
    let same = fixture.change_password(&tokens, PASSWORD, PASSWORD).await;
    assert_eq!(same.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn passwords_and_refresh_tokens_are_stored_as_hashes_only() {
    let fixture = with_ann().await;
    let tokens = fixture.ann_signs_in().await;
    let store = &fixture.runtime.deps.store;
    let claims = format!("{:?}", store.claims().await.unwrap());
    let log = format!("{:?}", store.log_of(ANN.to_string()).await.unwrap());
    let rows = store
        .read(|conn| {
            Box::pin(async {
                let rows = conn.query("SELECT state FROM aggregate", vec![]).await?;
                Ok(format!("{rows:?}"))
            })
        })
        .await
        .unwrap();
    assert!(rows.contains("$argon2id$"));
    for secret in [PASSWORD, &tokens.refresh_token, &tokens.refresh_token[22..]] {
        assert!(
            ![&claims, &log, &rows]
                .iter()
                .any(|text| text.contains(secret))
        );
    }
    assert!(!log.contains("argon2"));
}

async fn set_roles(fixture: &Fixture, roles: &[Role]) {
    let request = SetRolesRequest {
        member_id: ANN.to_string(),
        roles: roles.iter().map(|role| (*role).into()).collect(),
    };
    fixture
        .client
        .clone()
        .set_roles(by(admin(), request))
        .await
        .unwrap();
}

async fn suspend(fixture: &Fixture, suspended: bool) {
    let member_id = ANN.to_string();
    let request = SuspendMemberRequest {
        member_id,
        suspended,
    };
    let mut client = fixture.client.clone();
    client.suspend_member(by(admin(), request)).await.unwrap();
}

/// Whether a service with the current `GetTrust` response refuses an access token as revoked.
async fn is_revoked(fixture: &Fixture, token: &str) -> bool {
    let clock = Clock::Manual(fixture.clock.clone());
    let trust = Trust::new(TrustSettings::default(), ServiceKeys::default(), clock);
    trust.learn(fixture.trust().await);
    match trust.verify(token) {
        Ok(_) => false,
        Err(Untrusted::Revoked) => true,
        Err(other) => panic!("{other}"),
    }
}
