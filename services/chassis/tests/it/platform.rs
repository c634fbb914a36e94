//! A small platform: signed tokens of members, and guarded contexts that record their callers.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use berth::{
    common::v1::Role,
    member::v1::{
        self as member,
        member_service_server::{MemberService, MemberServiceServer},
    },
    payment::v1::{
        self as payment,
        payment_service_server::{PaymentService, PaymentServiceServer},
    },
    room::v1::{
        self as room,
        room_service_server::{RoomService, RoomServiceServer},
    },
};
use chassis::{
    Access, Caller, Clock, MemberId, accept,
    base::{clock::ManualClock, time::SignedDuration},
    error::{refusal::Kind, status::retry_after},
    runtime::options::Options,
    security::{
        claims::Claims,
        service_identity::{self, PUBLIC_KEYS, ServiceKey, ServiceKeys},
        tokens::{Trust, TrustSettings},
    },
};
use chassis_testing::noon;
use ed25519_dalek::SigningKey;
use tonic::{Code, Request, Response, Status, service::Routes};
use tonic_types::{ErrorDetails, StatusExt};

pub(crate) const CUSTOMER: MemberId = MemberId::from_u128(0xc);
pub(crate) const OTHER: MemberId = MemberId::from_u128(0xd);
pub(crate) const HOST: MemberId = MemberId::from_u128(0xe);
pub(crate) const ADMIN: MemberId = MemberId::from_u128(0xf);
pub(crate) const KID: &str = "key-1";

/// The key of `member`, and keys of others.
pub(crate) fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

pub(crate) fn jwk(kid: &str, key: &SigningKey) -> member::JsonWebKey {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    member::JsonWebKey {
        kty: "OKP".into(),
        crv: "Ed25519".into(),
        r#use: "sig".into(),
        alg: "EdDSA".into(),
        kid: kid.into(),
        x: URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes()),
        retire_time: None,
    }
}

/// The response of `member` when nothing is revoked.
pub(crate) fn trust_response() -> member::GetTrustResponse {
    member::GetTrustResponse {
        keys: vec![jwk(KID, &key(1))],
        ..Default::default()
    }
}

/// A token's claims as `member` would issue them at noon.
pub(crate) fn claims(sub: MemberId, roles: &[Role]) -> Claims {
    Claims {
        iss: "berth".into(),
        aud: "berth".into(),
        sub,
        sid: format!("session of {sub}"),
        jti: format!("token of {sub}"),
        iat: noon(),
        nbf: noon(),
        exp: noon() + SignedDuration::from_mins(15),
        roles: roles.to_vec(),
    }
}

/// A valid token.
pub(crate) fn token(sub: MemberId, roles: &[Role]) -> String {
    claims(sub, roles).sign(KID, &key(1)).unwrap()
}

/// Services with the byte that their private key consists of.
const SERVICES: [(&str, u8); 4] = [
    ("reservation", 7),
    ("room", 8),
    ("message", 9),
    ("doctor", 10),
];

fn seed(n: u8) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode([n; 32])
}

/// The private key of a service.
pub(crate) fn service_key(name: &str) -> ServiceKey {
    let (_, n) = SERVICES
        .iter()
        .find(|(service, _)| *service == name)
        .unwrap();
    ServiceKey::parse(name, &seed(*n)).unwrap()
}

/// Another key under the name of a service.
pub(crate) fn foreign_key(name: &str) -> ServiceKey {
    ServiceKey::parse(name, &seed(77)).unwrap()
}

/// The public keys of all services.
pub(crate) fn service_keys() -> ServiceKeys {
    let keys = SERVICES.map(|(name, _)| service_key(name));
    ServiceKeys::of(&keys)
}

/// Gives a process its private key and the public keys of all, and a data directory, below a directory.
pub(crate) fn identify(options: &mut Options, dir: &Path) {
    options.config.data_dir = dir.join("data");
    for (name, n) in SERVICES {
        std::fs::write(dir.join(format!("{name}.key")), seed(n)).unwrap();
    }
    let names = SERVICES.iter().map(|(name, _)| *name);
    service_identity::provision(dir, names).unwrap();
    let key = dir.join(format!("{}.key", options.process));
    options.config.trust.service_key_file = Some(key);
    options.config.trust.service_keys = Some(dir.join(PUBLIC_KEYS));
}

/// The request with headers.
pub(crate) fn with<T>(message: T, headers: &[(&'static str, &str)]) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in headers {
        request.metadata_mut().append(*name, value.parse().unwrap());
    }
    request
}

/// The request of a person, as a client sends it.
pub(crate) fn by<T>(message: T, sub: MemberId, roles: &[Role]) -> Request<T> {
    with(
        message,
        &[("authorization", &format!("Bearer {}", token(sub, roles)))],
    )
}

#[derive(Clone)]
pub(crate) struct Platform {
    pub(crate) clock: ManualClock,
    pub(crate) trust: Trust,
    pub(crate) contexts: Contexts,
}

/// The outcome of calls to the contexts.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum Behavior {
    #[default]
    Succeeds,
    /// Fails as a context does: with a reason.
    Fails(Code),
    /// Fails as a proxy does that finds no replica: without a reason.
    Absent,
    /// Sheds load, with a delay in its RetryInfo.
    Sheds(Duration),
    Hangs,
}

/// The contexts: they record their callers.
#[derive(Clone, Default)]
pub(crate) struct Contexts {
    callers: Arc<Mutex<Vec<Caller>>>,
    pub(crate) trust: Arc<Mutex<member::GetTrustResponse>>,
    behavior: Arc<Mutex<Behavior>>,
    /// The behavior of the next calls.
    next: Arc<Mutex<VecDeque<Behavior>>>,
}

impl Contexts {
    pub(crate) fn callers(&self) -> Vec<Caller> {
        self.callers.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Caller {
        self.callers().pop().unwrap()
    }

    pub(crate) fn behave(&self, behavior: Behavior) {
        *self.behavior.lock().unwrap() = behavior;
    }

    /// The behavior of the next calls, one after the other.
    pub(crate) fn behave_next(&self, next: impl IntoIterator<Item = Behavior>) {
        self.next.lock().unwrap().extend(next);
    }

    async fn respond<Q, A: Default>(&self, request: Request<Q>) -> Result<Response<A>, Status> {
        assert_eq!(request.metadata().get("x-berth-service"), None);
        assert_eq!(request.metadata().get("authorization"), None);
        let (caller, _) = accept(request);
        self.callers.lock().unwrap().push(caller);
        let next = self.next.lock().unwrap().pop_front();
        match next.unwrap_or_else(|| *self.behavior.lock().unwrap()) {
            Behavior::Succeeds => Ok(Response::new(A::default())),
            Behavior::Fails(code) => {
                let details = ErrorDetails::with_error_info(format!("{code:?}"), "berth", []);
                Err(Status::with_error_details(code, "as configured", details))
            }
            Behavior::Absent => Err(Status::unavailable("no replica")),
            Behavior::Sheds(delay) => {
                Err(retry_after(delay, Kind::Unavailable, "OVERLOADED", "later"))
            }
            Behavior::Hangs => std::future::pending().await,
        }
    }
}

impl Platform {
    /// A platform at noon that knows the key of `member`.
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new(noon());
        let trust = Trust::new(
            TrustSettings::default(),
            service_keys(),
            Clock::Manual(clock.clone()),
        );
        trust.learn(trust_response());
        let contexts = Contexts::default();
        *contexts.trust.lock().unwrap() = trust_response();
        Self {
            clock,
            trust,
            contexts,
        }
    }

    pub(crate) fn bare(&self) -> Routes {
        Routes::new(RoomServiceServer::new(self.contexts.clone()))
            .add_service(PaymentServiceServer::new(self.contexts.clone()))
            .add_service(MemberServiceServer::new(self.contexts.clone()))
    }

    /// All services, guarded as those of `payment`.
    pub(crate) fn routes(&self) -> Routes {
        Access::new(&self.trust).guard("payment", self.bare())
    }

    pub(crate) fn rooms(&self) -> room::room_service_client::RoomServiceClient<Routes> {
        room::room_service_client::RoomServiceClient::new(self.routes())
    }

    pub(crate) fn payments(&self) -> payment::payment_service_client::PaymentServiceClient<Routes> {
        payment::payment_service_client::PaymentServiceClient::new(self.routes())
    }
}

/// A service whose rpcs all behave alike.
macro_rules! serve {
    ($service:ident in $package:ident: $($rpc:ident($request:ident) -> $response:ident),+; $($rest:tt)*) => {
        #[tonic::async_trait]
        impl $service for Contexts {
            $(async fn $rpc(
                &self,
                request: Request<$package::$request>,
            ) -> Result<Response<$package::$response>, Status> {
                self.respond(request).await
            })+
            $($rest)*
        }
    };
}

serve!(RoomService in room:
    register_room(RegisterRoomRequest) -> RegisterRoomResponse,
    modify_room(ModifyRoomRequest) -> ModifyRoomResponse,
    delete_room(DeleteRoomRequest) -> DeleteRoomResponse,
    get_room(GetRoomRequest) -> GetRoomResponse,
    list_rooms(ListRoomsRequest) -> ListRoomsResponse,
    create_review(CreateReviewRequest) -> CreateReviewResponse,
    modify_review(ModifyReviewRequest) -> ModifyReviewResponse,
    delete_review(DeleteReviewRequest) -> DeleteReviewResponse,
    list_reviews(ListReviewsRequest) -> ListReviewsResponse;
);

serve!(PaymentService in payment:
    charge_payment(ChargePaymentRequest) -> ChargePaymentResponse,
    get_payment(GetPaymentRequest) -> GetPaymentResponse,
    list_payments(ListPaymentsRequest) -> ListPaymentsResponse,
    get_ledger(GetLedgerRequest) -> GetLedgerResponse,
    receive_notification(ReceiveNotificationRequest) -> ReceiveNotificationResponse;
);

serve!(MemberService in member:
    join(JoinRequest) -> JoinResponse,
    get_member(GetMemberRequest) -> GetMemberResponse,
    set_roles(SetRolesRequest) -> SetRolesResponse,
    suspend_member(SuspendMemberRequest) -> SuspendMemberResponse,
    change_password(ChangePasswordRequest) -> ChangePasswordResponse,
    sign_in(SignInRequest) -> SignInResponse,
    refresh_tokens(RefreshTokensRequest) -> RefreshTokensResponse,
    sign_out(SignOutRequest) -> SignOutResponse,
    get_json_web_keys(GetJsonWebKeysRequest) -> GetJsonWebKeysResponse,
    rotate_keys(RotateKeysRequest) -> RotateKeysResponse;
    async fn get_trust(
        &self,
        request: Request<member::GetTrustRequest>,
    ) -> Result<Response<member::GetTrustResponse>, Status> {
        self.respond::<_, member::GetTrustResponse>(request).await?;
        Ok(Response::new(self.trust.lock().unwrap().clone()))
    }
);
