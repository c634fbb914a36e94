//! What is there from the first start?

use berth::common::v1::Role;
use tonic::Code;

use crate::bench::{bench_with, bob, no};

const FLAGS: [&str; 2] = [
    "--admin-email=Root@Localhost",
    "--admin-password=rather secret",
];

#[tokio::test]
async fn the_first_admin_is_there_after_the_first_start() {
    let bench = bench_with(&FLAGS).await;
    bench.site.start().await.unwrap();
    bench.site.start().await.unwrap();
    let signed_in = bench
        .sign_in("root@localhost", "rather secret")
        .await
        .unwrap();
    assert_eq!(signed_in.member.unwrap().roles, [Role::Admin as i32]);
    let accounts = bench.site.deps.store.claims().await.unwrap();
    assert_eq!(
        accounts
            .iter()
            .filter(|(scope, ..)| scope == "email")
            .count(),
        1
    );
}

#[tokio::test]
async fn without_the_settings_there_is_no_admin() {
    let bench = bench_with(&[]).await;
    bench.site.start().await.unwrap();
    assert!(bench.site.deps.store.claims().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_member_who_has_the_address_is_left_as_they_are() {
    let bench = bench_with(&["--admin-email=bob@example.org", FLAGS[1]]).await;
    let joined = bench.join(bob()).await.unwrap();
    bench.site.start().await.unwrap();
    assert_eq!(bench.join(bob()).await.unwrap(), joined);
    let refused = bench
        .sign_in("bob@example.org", "rather secret")
        .await
        .unwrap_err();
    assert_eq!(
        no(&refused),
        (Code::Unauthenticated, "BAD_CREDENTIALS".into())
    );
}

#[tokio::test]
async fn a_password_that_is_too_short_is_told_and_not_shown() {
    let bench = bench_with(&[FLAGS[0], "--admin-password=canary"]).await;
    let refused = bench.site.start().await.unwrap_err().to_string();
    assert_eq!(
        refused,
        "BERTH_ADMIN_PASSWORD must have 10 to 200 characters"
    );
}
