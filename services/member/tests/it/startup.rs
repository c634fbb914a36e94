//! What the context creates before it is ready.

use berth::common::v1::Role;
use tonic::Code;

use crate::fixture::{bob, fixture_with, refusal};

const FLAGS: [&str; 2] = [
    "--admin-email=Root@Localhost",
    "--admin-password=rather secret",
];

#[tokio::test]
async fn the_first_admin_is_created_once() {
    let fixture = fixture_with(&FLAGS).await;
    fixture.runtime.start().await.unwrap();
    fixture.runtime.start().await.unwrap();
    let signed_in = fixture
        .sign_in("root@localhost", "rather secret")
        .await
        .unwrap();
    assert_eq!(signed_in.member.unwrap().roles, [Role::Admin as i32]);
    let accounts = fixture.runtime.deps.store.claims().await.unwrap();
    assert_eq!(
        accounts
            .iter()
            .filter(|(scope, ..)| scope == "email")
            .count(),
        1
    );
}

#[tokio::test]
async fn without_the_settings_no_admin_is_created() {
    let fixture = fixture_with(&[]).await;
    fixture.runtime.start().await.unwrap();
    assert!(
        fixture
            .runtime
            .deps
            .store
            .claims()
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn an_account_with_the_email_address_stays_unchanged() {
    let fixture = fixture_with(&["--admin-email=bob@example.org", FLAGS[1]]).await;
    let joined = fixture.join(bob()).await.unwrap();
    fixture.runtime.start().await.unwrap();
    assert_eq!(fixture.join(bob()).await.unwrap(), joined);
    let refused = fixture
        .sign_in("bob@example.org", "rather secret")
        .await
        .unwrap_err();
    assert_eq!(
        refusal(&refused),
        (Code::Unauthenticated, "BAD_CREDENTIALS".into())
    );
}

#[tokio::test]
async fn a_password_that_is_refused_is_reported_without_showing_it() {
    for (flag, problem) in [
        ("--admin-password=canary", "must have 10 to 200 characters"),
        ("--admin-password=root@localhost", "is too easy to guess"),
        (
            "--admin-password=canary\u{200b}canary",
            "must not contain control characters or invisible ones",
        ),
    ] {
        let fixture = fixture_with(&[FLAGS[0], flag]).await;
        let refused = fixture.runtime.start().await.unwrap_err().to_string();
        assert_eq!(refused, format!("BERTH_ADMIN_PASSWORD {problem}"));
    }
}
