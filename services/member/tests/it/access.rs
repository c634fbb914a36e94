//! The whole way: tokens of the context, at the gate that every context has.

use berth::{
    common::v1::Role,
    member::v1::{
        GetMemberRequest, GetTrustRequest, RotateKeysRequest, SetRolesRequest,
        SuspendMemberRequest, member_service_client::MemberServiceClient,
    },
};
use chassis::{
    Access, Clock,
    base::time::SignedDuration,
    client::{peers::Peers, trust_renewal},
    security::tokens::{Trust, TrustSettings},
};
use tonic::{Code, Request, Status, service::Routes};

use crate::bench::{ANN, BOB, Bench, ann, bench_with, bob};

/// The context behind its gate.
struct Gate {
    bench: Bench,
    trust: Trust,
    peers: Peers,
    client: MemberServiceClient<Routes>,
    admin: String,
}

async fn gate() -> Gate {
    let flags = [
        "--admin-email=root@localhost",
        "--admin-password=rather secret",
    ];
    let bench = bench_with(&flags).await;
    bench.site.start().await.unwrap();
    bench.join(ann()).await.unwrap();
    bench.join(bob()).await.unwrap();
    let clock = Clock::Manual(bench.clock.clone());
    let trust = Trust::new(TrustSettings::default(), None, clock);
    let routes = bench.site.routes(&Access::new(&trust));
    let peers = Peers::new();
    peers.add_local("member", routes.clone());
    let admin = bench
        .sign_in("root@localhost", "rather secret")
        .await
        .unwrap();
    let gate = Gate {
        bench,
        trust,
        peers,
        client: MemberServiceClient::new(routes.prepare()),
        admin: admin.tokens.unwrap().access_token,
    };
    gate.renew().await;
    gate
}

fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    request
}

impl Gate {
    /// A second passes for the services that trust.
    async fn renew(&self) {
        trust_renewal::refresh_once(&self.trust, &self.peers)
            .await
            .unwrap();
    }

    /// What somebody with a token is told about a member.
    async fn get(&self, token: &str, id: impl ToString) -> Result<Vec<i32>, Code> {
        let member_id = id.to_string();
        let request = with(token, GetMemberRequest { member_id });
        let got = self.client.clone().get_member(request).await;
        let code = |status: Status| status.code();
        Ok(got.map_err(code)?.into_inner().member.unwrap().roles)
    }
}

#[tokio::test]
async fn a_token_opens_what_it_is_for_and_nothing_else() {
    let gate = gate().await;
    let tokens = gate.bench.ann_signs_in().await;
    let customer = vec![Role::Customer.into()];
    assert_eq!(gate.get(&tokens.access_token, ANN).await, Ok(customer));
    assert_eq!(
        gate.get(&tokens.access_token, BOB).await,
        Err(Code::NotFound)
    );
    assert_eq!(gate.get("nonsense", ANN).await, Err(Code::Unauthenticated));
    assert!(gate.get(&gate.admin, BOB).await.is_ok());
    let rotate = RotateKeysRequest {
        key_id: ANN.to_string(),
    };
    let refused = gate
        .client
        .clone()
        .rotate_keys(with(&tokens.access_token, rotate))
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    let trust = gate
        .client
        .clone()
        .get_trust(with(&gate.admin, GetTrustRequest {}))
        .await;
    assert!(matches!(
        trust.unwrap_err().code(),
        Code::PermissionDenied | Code::Unauthenticated
    ));
    gate.bench.turn(SignedDuration::from_mins(16));
    assert_eq!(
        gate.get(&tokens.access_token, ANN).await,
        Err(Code::Unauthenticated)
    );
}

#[tokio::test]
async fn signing_out_shuts_the_gate() {
    let gate = gate().await;
    let tokens = gate.bench.ann_signs_in().await;
    assert!(gate.get(&tokens.access_token, ANN).await.is_ok());
    gate.bench.sign_out(tokens.refresh_token).await;
    gate.renew().await;
    assert_eq!(
        gate.get(&tokens.access_token, ANN).await,
        Err(Code::Unauthenticated)
    );
}

#[tokio::test]
async fn a_suspension_shuts_the_gate_until_the_next_sign_in() {
    let gate = gate().await;
    let tokens = gate.bench.ann_signs_in().await;
    for suspended in [true, false] {
        let member_id = ANN.to_string();
        let request = SuspendMemberRequest {
            member_id,
            suspended,
        };
        let mut client = gate.client.clone();
        client
            .suspend_member(with(&gate.admin, request))
            .await
            .unwrap();
        gate.renew().await;
        assert_eq!(
            gate.get(&tokens.access_token, ANN).await,
            Err(Code::Unauthenticated)
        );
    }
    let tokens = gate.bench.ann_signs_in().await;
    assert!(gate.get(&tokens.access_token, ANN).await.is_ok());
}

#[tokio::test]
async fn new_roles_are_in_force_with_the_next_token() {
    let gate = gate().await;
    let tokens = gate.bench.ann_signs_in().await;
    assert_eq!(
        gate.get(&tokens.access_token, BOB).await,
        Err(Code::NotFound)
    );
    let roles = vec![Role::Admin.into()];
    let request = SetRolesRequest {
        member_id: ANN.to_string(),
        roles,
    };
    let mut client = gate.client.clone();
    client.set_roles(with(&gate.admin, request)).await.unwrap();
    gate.renew().await;
    assert_eq!(
        gate.get(&tokens.access_token, ANN).await,
        Err(Code::Unauthenticated)
    );
    let tokens = gate.bench.refresh(&tokens).await.unwrap();
    assert!(gate.get(&tokens.access_token, BOB).await.is_ok());
}

#[tokio::test]
async fn tokens_of_the_former_key_stay_good() {
    let gate = gate().await;
    let before = gate.bench.ann_signs_in().await.access_token;
    let rotate = RotateKeysRequest {
        key_id: BOB.to_string(),
    };
    gate.client
        .clone()
        .rotate_keys(with(&gate.admin, rotate))
        .await
        .unwrap();
    let after = gate.bench.ann_signs_in().await.access_token;
    gate.renew().await;
    assert!(gate.get(&before, ANN).await.is_ok());
    assert!(gate.get(&after, ANN).await.is_ok());
}
