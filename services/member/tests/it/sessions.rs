//! How somebody stays signed in, and how that ends.

use berth::{
    common::v1::Role,
    member::v1::{SetRolesRequest, SuspendMemberRequest},
};
use chassis::{
    Clock,
    base::time::{SignedDuration, to_proto},
    security::tokens::{Trust, TrustSettings, Untrusted},
};
use tonic::Code;

use crate::{
    bench::{ANN, Bench, PASSWORD, admin, ann, bench, bench_with, by, no},
    keys::{Claims, claims},
};

const OTHER: &str = "another password";

async fn with_ann() -> Bench {
    let bench = bench().await;
    bench.join(ann()).await.unwrap();
    bench
}

fn refused(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

#[tokio::test]
async fn signing_in_gives_tokens_that_end() {
    let bench = with_ann().await;
    let signed_in = bench.sign_in("ANN@example.org", PASSWORD).await.unwrap();
    let member = signed_in.member.unwrap();
    assert_eq!(member.member_id, ANN.to_string());
    let tokens = signed_in.tokens.unwrap();
    let at = |seconds| {
        let at = bench
            .clock
            .now()
            .checked_add(SignedDuration::from_secs(seconds));
        Some(to_proto(at.unwrap()))
    };
    assert_eq!(tokens.access_expire_time, at(15 * 60));
    assert_eq!(tokens.refresh_expire_time, at(30 * 24 * 60 * 60));
}

#[tokio::test]
async fn how_long_tokens_live_is_a_setting() {
    let flags = ["--access-token-seconds=60", "--refresh-token-days=1"];
    let bench = bench_with(&flags).await;
    bench.join(ann()).await.unwrap();
    let tokens = bench.ann_signs_in().await;
    let Claims { nbf, exp, .. } = claims(&bench, &tokens.access_token).await;
    assert!((exp - nbf - 60.0).abs() < 0.001);
    bench.turn(SignedDuration::from_hours(24));
    let error = bench.refresh(&tokens).await.unwrap_err();
    assert_eq!(no(&error), refused(Code::Unauthenticated, "SESSION_ENDED"));
}

#[tokio::test]
async fn a_session_goes_on_with_new_tokens() {
    let bench = with_ann().await;
    let mut tokens = bench.ann_signs_in().await;
    let first = claims(&bench, &tokens.access_token).await;
    for _ in 0..5 {
        bench.turn(SignedDuration::from_hours(29 * 24));
        tokens = bench.refresh(&tokens).await.unwrap();
    }
    let last = claims(&bench, &tokens.access_token).await;
    assert_eq!(last.sid, first.sid);
    assert_ne!(last.jti, first.jti);
    bench.turn(SignedDuration::from_hours(30 * 24));
    let error = bench.refresh(&tokens).await.unwrap_err();
    assert_eq!(no(&error), refused(Code::Unauthenticated, "SESSION_ENDED"));
}

#[tokio::test]
async fn a_token_that_was_exchanged_before_ends_the_session() {
    let bench = with_ann().await;
    let first = bench.ann_signs_in().await;
    let second = bench.refresh(&first).await.unwrap();
    let sid = claims(&bench, &first.access_token).await.sid;
    assert!(bench.trust().await.revoked_sessions.is_empty());
    for _ in 0..2 {
        let error = bench.refresh(&first).await.unwrap_err();
        assert_eq!(no(&error), refused(Code::Unauthenticated, "TOKEN_REUSED"));
    }
    let error = bench.refresh(&second).await.unwrap_err();
    assert_eq!(no(&error), refused(Code::Unauthenticated, "SESSION_ENDED"));
    assert_eq!(bench.trust().await.revoked_sessions, [sid]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_who_exchange_a_token_at_once_one_wins() {
    let bench = with_ann().await;
    for _ in 0..10 {
        let tokens = bench.ann_signs_in().await;
        let both = tokio::join!(bench.refresh(&tokens), bench.refresh(&tokens));
        let outcomes = [both.0, both.1];
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        let error = outcomes.into_iter().find_map(Result::err).unwrap();
        assert_eq!(no(&error), refused(Code::Unauthenticated, "TOKEN_REUSED"));
    }
}

#[tokio::test]
async fn what_is_no_token_of_a_session_is_nothing() {
    let bench = with_ann().await;
    let mut tokens = bench.ann_signs_in().await;
    let good = tokens.refresh_token.clone();
    // The right session and first half, but of another session: nobody can end a session whose token they never had.
    let other = bench.ann_signs_in().await.refresh_token;
    tokens.refresh_token = format!("{}{}", &good[..22], &other[22..]);
    let error = bench.refresh(&tokens).await.unwrap_err();
    assert_eq!(no(&error), refused(Code::Unauthenticated, "SESSION_ENDED"));
    for nonsense in ["", "x", "\0", &"é".repeat(43), &"a".repeat(100_000)] {
        tokens.refresh_token = nonsense.into();
        let error = bench.refresh(&tokens).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
    }
    tokens.refresh_token = good;
    bench.refresh(&tokens).await.unwrap();
}

#[tokio::test]
async fn signing_out_ends_the_session() {
    let bench = with_ann().await;
    let (here, there) = (bench.ann_signs_in().await, bench.ann_signs_in().await);
    for token in [&here.refresh_token, &here.refresh_token, "", "nonsense"] {
        bench.sign_out(token.to_owned()).await;
    }
    let error = bench.refresh(&here).await.unwrap_err();
    assert_eq!(no(&error), refused(Code::Unauthenticated, "SESSION_ENDED"));
    bench.refresh(&there).await.unwrap();
    let sid = claims(&bench, &here.access_token).await.sid;
    assert_eq!(bench.trust().await.revoked_sessions, [sid]);
}

#[tokio::test]
async fn what_was_revoked_is_forgotten_when_it_cannot_matter_any_more() {
    let bench = with_ann().await;
    bench
        .sign_out(bench.ann_signs_in().await.refresh_token)
        .await;
    set_roles(&bench, &[Role::Host]).await;
    bench.turn(SignedDuration::from_mins(16));
    let trust = bench.trust().await;
    assert_eq!(
        (trust.revoked_sessions.len(), trust.revoked_members.len()),
        (1, 1)
    );
    bench.turn(SignedDuration::from_mins(10));
    let trust = bench.trust().await;
    assert_eq!(
        (trust.revoked_sessions.len(), trust.revoked_members.len()),
        (0, 0)
    );
}

#[tokio::test]
async fn a_suspension_ends_tokens_and_sessions() {
    let bench = with_ann().await;
    let tokens = bench.ann_signs_in().await;
    suspend(&bench, true).await;
    assert!(is_revoked(&bench, &tokens.access_token).await);
    let error = bench.refresh(&tokens).await.unwrap_err();
    assert_eq!(
        no(&error),
        refused(Code::Unauthenticated, "MEMBER_SUSPENDED")
    );
    suspend(&bench, false).await;
    let error = bench.refresh(&tokens).await.unwrap_err();
    assert_eq!(no(&error), refused(Code::Unauthenticated, "SESSION_ENDED"));
    let tokens = bench.ann_signs_in().await;
    assert!(!is_revoked(&bench, &tokens.access_token).await);
}

#[tokio::test]
async fn new_roles_are_in_the_next_token_and_the_former_token_ends() {
    let bench = with_ann().await;
    let before = bench.ann_signs_in().await;
    set_roles(&bench, &[Role::Host, Role::Admin]).await;
    assert!(is_revoked(&bench, &before.access_token).await);
    let after = bench.refresh(&before).await.unwrap();
    assert!(!is_revoked(&bench, &after.access_token).await);
    let Claims { roles, .. } = claims(&bench, &after.access_token).await;
    assert_eq!(roles, ["HOST", "ADMIN"]);
    // The clock stands still all the while: even so the second revocation is told from the first.
    set_roles(&bench, &[Role::Customer]).await;
    assert!(is_revoked(&bench, &after.access_token).await);
}

#[tokio::test]
async fn a_new_password_ends_all_other_sessions() {
    let bench = with_ann().await;
    let (here, there) = (bench.ann_signs_in().await, bench.ann_signs_in().await);
    bench.change_password(&here, PASSWORD, OTHER).await.unwrap();
    assert!(is_revoked(&bench, &there.access_token).await);
    let error = bench.refresh(&there).await.unwrap_err();
    assert_eq!(no(&error), refused(Code::Unauthenticated, "SESSION_ENDED"));
    let here = bench.refresh(&here).await.unwrap();
    assert!(!is_revoked(&bench, &here.access_token).await);

    bench.change_password(&here, PASSWORD, OTHER).await.unwrap();
    bench.refresh(&here).await.unwrap();
    let old = bench
        .sign_in("ann@example.org", PASSWORD)
        .await
        .unwrap_err();
    assert_eq!(no(&old), refused(Code::Unauthenticated, "BAD_CREDENTIALS"));
    bench.sign_in("ann@example.org", OTHER).await.unwrap();
}

#[tokio::test]
async fn a_password_is_not_changed_by_who_does_not_know_it() {
    let bench = with_ann().await;
    let tokens = bench.ann_signs_in().await;
    for n in 0..11 {
        let change = bench.change_password(&tokens, "wrong", OTHER).await;
        let error = change.unwrap_err();
        if n < 10 {
            assert_eq!(
                no(&error),
                refused(Code::Unauthenticated, "BAD_CREDENTIALS")
            );
        } else {
            assert_eq!(
                no(&error),
                refused(Code::ResourceExhausted, "TOO_MANY_ATTEMPTS")
            );
        }
    }
    let short = bench.change_password(&tokens, PASSWORD, "short").await;
    assert_eq!(short.unwrap_err().code(), Code::InvalidArgument);
    let same = bench.change_password(&tokens, PASSWORD, PASSWORD).await;
    assert_eq!(same.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn nothing_that_opens_a_door_is_stored_as_it_is() {
    let bench = with_ann().await;
    let tokens = bench.ann_signs_in().await;
    let store = &bench.site.deps.store;
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

async fn set_roles(bench: &Bench, roles: &[Role]) {
    let request = SetRolesRequest {
        member_id: ANN.to_string(),
        roles: roles.iter().map(|role| (*role).into()).collect(),
    };
    bench
        .client
        .clone()
        .set_roles(by(admin(), request))
        .await
        .unwrap();
}

async fn suspend(bench: &Bench, suspended: bool) {
    let member_id = ANN.to_string();
    let request = SuspendMemberRequest {
        member_id,
        suspended,
    };
    let mut client = bench.client.clone();
    client.suspend_member(by(admin(), request)).await.unwrap();
}

/// Whether an access token is not good any more for a service that asks GetTrust.
async fn is_revoked(bench: &Bench, token: &str) -> bool {
    let clock = Clock::Manual(bench.clock.clone());
    let trust = Trust::new(TrustSettings::default(), None, clock);
    trust.learn(bench.trust().await);
    match trust.verify(token) {
        Ok(_) => false,
        Err(Untrusted::Revoked) => true,
        Err(other) => panic!("{other}"),
    }
}
