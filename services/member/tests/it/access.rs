//! Tokens of the context, verified by the access check that every context has.

use berth::{
    common::v1::Role,
    member::v1::{
        GetJsonWebKeysRequest, GetMemberRequest, GetTrustRequest, RefreshTokensRequest,
        RotateKeysRequest, SetRolesRequest, SignInRequest, SignOutRequest, SuspendMemberRequest,
        member_service_client::MemberServiceClient,
    },
};
use chassis::{
    Access, Clock,
    base::time::{self, SignedDuration},
    client::{peers::Peers, trust_renewal},
    security::{
        service_identity::ServiceKeys,
        tokens::{Trust, TrustSettings},
    },
};
use tonic::{Code, Request, Status, service::Routes};

use crate::fixture::{ANN, BOB, Fixture, PASSWORD, ann, bob, fixture_with};

/// The context behind the access check.
struct Guarded {
    fixture: Fixture,
    trust: Trust,
    peers: Peers,
    client: MemberServiceClient<Routes>,
    admin: String,
}

async fn guarded() -> Guarded {
    let flags = [
        "--admin-email=root@localhost",
        "--admin-password=rather secret",
    ];
    let fixture = fixture_with(&flags).await;
    fixture.runtime.start().await.unwrap();
    fixture.join(ann()).await.unwrap();
    fixture.join(bob()).await.unwrap();
    let clock = Clock::Manual(fixture.clock.clone());
    let trust = Trust::new(TrustSettings::default(), ServiceKeys::default(), clock);
    let routes = fixture.runtime.routes(&Access::new(&trust));
    let peers = Peers::new();
    peers.add_local("member", routes.clone());
    let admin = fixture
        .sign_in("root@localhost", "rather secret")
        .await
        .unwrap();
    let context = Guarded {
        fixture,
        trust,
        peers,
        client: MemberServiceClient::new(routes.prepare()),
        admin: admin.tokens.unwrap().access_token,
    };
    context.renew().await;
    context
}

fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    request
}

impl Guarded {
    /// Fetches keys and revocations, as every service does each second.
    async fn renew(&self) {
        trust_renewal::refresh_once(&self.trust, &self.peers)
            .await
            .unwrap();
    }

    /// Reads a member with a token and returns the roles.
    async fn get(&self, token: &str, id: impl ToString) -> Result<Vec<i32>, Code> {
        let member_id = id.to_string();
        let request = with(token, GetMemberRequest { member_id });
        let got = self.client.clone().get_member(request).await;
        let code = |status: Status| status.code();
        Ok(got.map_err(code)?.into_inner().member.unwrap().roles)
    }
}

#[tokio::test]
async fn a_token_grants_what_its_roles_and_its_member_allow() {
    let context = guarded().await;
    let tokens = context.fixture.ann_signs_in().await;
    let customer = vec![Role::Customer.into()];
    assert_eq!(context.get(&tokens.access_token, ANN).await, Ok(customer));
    assert_eq!(
        context.get(&tokens.access_token, BOB).await,
        Err(Code::NotFound)
    );
    assert_eq!(
        context.get("nonsense", ANN).await,
        Err(Code::Unauthenticated)
    );
    assert!(context.get(&context.admin, BOB).await.is_ok());
    let rotate = RotateKeysRequest {
        key_id: ANN.to_string(),
        at_once: false,
    };
    let refused = context
        .client
        .clone()
        .rotate_keys(with(&tokens.access_token, rotate))
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    let trust = context
        .client
        .clone()
        .get_trust(with(&context.admin, GetTrustRequest {}))
        .await;
    assert!(matches!(
        trust.unwrap_err().code(),
        Code::PermissionDenied | Code::Unauthenticated
    ));
    context.fixture.advance(SignedDuration::from_mins(16));
    assert_eq!(
        context.get(&tokens.access_token, ANN).await,
        Err(Code::Unauthenticated)
    );
}

#[tokio::test]
async fn an_access_token_is_refused_after_sign_out() {
    let context = guarded().await;
    let tokens = context.fixture.ann_signs_in().await;
    assert!(context.get(&tokens.access_token, ANN).await.is_ok());
    context.fixture.sign_out(tokens.refresh_token).await;
    context.renew().await;
    assert_eq!(
        context.get(&tokens.access_token, ANN).await,
        Err(Code::Unauthenticated)
    );
}

#[tokio::test]
async fn an_access_token_is_refused_after_a_suspension_even_if_that_is_lifted() {
    let context = guarded().await;
    let tokens = context.fixture.ann_signs_in().await;
    for suspended in [true, false] {
        let member_id = ANN.to_string();
        let request = SuspendMemberRequest {
            member_id,
            suspended,
        };
        let mut client = context.client.clone();
        client
            .suspend_member(with(&context.admin, request))
            .await
            .unwrap();
        context.renew().await;
        assert_eq!(
            context.get(&tokens.access_token, ANN).await,
            Err(Code::Unauthenticated)
        );
    }
    let tokens = context.fixture.ann_signs_in().await;
    assert!(context.get(&tokens.access_token, ANN).await.is_ok());
}

#[tokio::test]
async fn new_roles_apply_from_the_next_token_on() {
    let context = guarded().await;
    let tokens = context.fixture.ann_signs_in().await;
    assert_eq!(
        context.get(&tokens.access_token, BOB).await,
        Err(Code::NotFound)
    );
    let roles = vec![Role::Admin.into()];
    let request = SetRolesRequest {
        member_id: ANN.to_string(),
        roles,
    };
    let mut client = context.client.clone();
    client
        .set_roles(with(&context.admin, request))
        .await
        .unwrap();
    context.renew().await;
    assert_eq!(
        context.get(&tokens.access_token, ANN).await,
        Err(Code::Unauthenticated)
    );
    let tokens = context.fixture.refresh(&tokens).await.unwrap();
    assert!(context.get(&tokens.access_token, BOB).await.is_ok());
}

#[tokio::test]
async fn tokens_of_the_former_key_stay_valid_after_a_rotation() {
    let context = guarded().await;
    let before = context.fixture.ann_signs_in().await.access_token;
    let rotate = RotateKeysRequest {
        key_id: BOB.to_string(),
        at_once: false,
    };
    context
        .client
        .clone()
        .rotate_keys(with(&context.admin, rotate))
        .await
        .unwrap();
    let after = context.fixture.ann_signs_in().await.access_token;
    context.renew().await;
    assert!(context.get(&before, ANN).await.is_ok());
    assert!(context.get(&after, ANN).await.is_ok());
}

/// A client sends what it has, also to the rpcs that get it out of that state.
#[tokio::test]
async fn an_ended_token_sent_along_does_not_keep_a_member_from_signing_in_refreshing_or_signing_out()
 {
    let context = guarded().await;
    let tokens = context.fixture.ann_signs_in().await;
    context.fixture.advance(SignedDuration::from_mins(16));
    let ended = &tokens.access_token;
    assert_eq!(context.get(ended, ANN).await, Err(Code::Unauthenticated));
    let mut client = context.client.clone();
    let (email, password) = ("ann@example.org".into(), PASSWORD.into());
    let sign_in = SignInRequest { email, password };
    client.sign_in(with(ended, sign_in)).await.unwrap();
    let refresh_token = tokens.refresh_token.clone();
    let refresh = RefreshTokensRequest { refresh_token };
    client.refresh_tokens(with(ended, refresh)).await.unwrap();
    let refresh_token = tokens.refresh_token.clone();
    let sign_out = SignOutRequest { refresh_token };
    client.sign_out(with(ended, sign_out)).await.unwrap();
    let keys = GetJsonWebKeysRequest {};
    client.get_json_web_keys(with(ended, keys)).await.unwrap();
}

/// What the contract says about the expiry of an access token is what the services do.
#[tokio::test]
async fn an_access_token_is_accepted_until_its_expiry_and_five_seconds_more() {
    let context = guarded().await;
    let tokens = context.fixture.ann_signs_in().await;
    let expiry = time::from_proto(&tokens.access_expire_time.unwrap()).unwrap();
    let leeway = SignedDuration::from_secs(5);
    let just = SignedDuration::from_micros(1);
    context.fixture.clock.set(expiry + leeway - just);
    assert!(context.get(&tokens.access_token, ANN).await.is_ok());
    context.fixture.clock.set(expiry + leeway);
    let refused = context.get(&tokens.access_token, ANN).await;
    assert_eq!(refused, Err(Code::Unauthenticated));
}
