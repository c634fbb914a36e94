//! What other requests notice of many sign-ins at once.

use std::collections::BTreeMap;

use berth::member::v1::{
    RefreshTokensRequest, SignInRequest, SignOutRequest, member_service_client::MemberServiceClient,
};
use chassis::runtime::{options::Options, platform::Platform};
use tokio::task::JoinSet;
use tonic::{Code, transport::Channel};

use crate::fixture::refusal;

type Client = MemberServiceClient<Channel>;

async fn connect(platform: &Platform) -> Client {
    let address = format!("http://{}", platform.public());
    MemberServiceClient::connect(address).await.unwrap()
}

fn sign_in_as(mut client: Client, n: usize, burst: &mut JoinSet<(Code, String)>) {
    let request = SignInRequest {
        email: format!("somebody{n}@example.org"),
        password: "wrong password".into(),
    };
    burst.spawn(async move { refusal(&client.sign_in(request).await.unwrap_err()) });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_burst_of_sign_ins_is_refused_and_no_other_request_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = Options::in_dir(dir.path());
    options.config.limits.max_in_flight = 128;
    let platform = Platform::start(vec![member::context()], options);
    let platform = platform.await.unwrap();
    let (mut others, mut burst) = (connect(&platform).await, JoinSet::new());
    for _ in 0..3 {
        let client = connect(&platform).await;
        (0..100).for_each(|n| sign_in_as(client.clone(), n, &mut burst));
    }

    let mut outcomes = vec![burst.join_next().await.unwrap().unwrap()];
    let refresh_token = "A".repeat(86);
    for _ in 0..40 {
        let refresh_token = refresh_token.clone();
        let sign_out = SignOutRequest {
            refresh_token: refresh_token.clone(),
        };
        others.sign_out(sign_out).await.unwrap();
        let refreshed = others.refresh_tokens(RefreshTokensRequest { refresh_token });
        let unknown = refusal(&refreshed.await.unwrap_err());
        assert_eq!(unknown, (Code::Unauthenticated, "SESSION_ENDED".into()));
    }
    outcomes.extend(burst.join_all().await);

    let mut counts = BTreeMap::new();
    for (_, reason) in outcomes {
        *counts.entry(reason).or_insert(0) += 1;
    }
    let reasons: Vec<_> = counts.keys().map(String::as_str).collect();
    assert_eq!(reasons, ["BAD_CREDENTIALS", "SIGN_IN_BUSY"], "{counts:?}");
    assert!(counts["SIGN_IN_BUSY"] > 200, "{counts:?}");
    platform.stop().await.unwrap();
}
