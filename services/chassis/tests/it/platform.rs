//! A small platform to knock at: members with tokens, two guarded contexts, and what the contexts were told of the caller.

use std::{
    collections::VecDeque,
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
    security::{
        claims::Claims,
        service_identity::ServiceKey,
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
    }
}

/// What `member` tells when nothing is revoked.
pub(crate) fn told() -> member::GetTrustResponse {
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

/// A good token.
pub(crate) fn token(sub: MemberId, roles: &[Role]) -> String {
    claims(sub, roles).sign(KID, &key(1)).unwrap()
}

pub(crate) fn service_key(n: u8) -> ServiceKey {
    use base64::{Engine, engine::general_purpose::STANDARD};
    ServiceKey::parse(&STANDARD.encode([n; 32])).unwrap()
}

/// The request with headers.
pub(crate) fn with<T>(message: T, headers: &[(&'static str, &str)]) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in headers {
        request.metadata_mut().append(*name, value.parse().unwrap());
    }
    request
}

/// The request of a person, as it comes from outside.
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
    pub(crate) heard: Received,
}

/// How the contexts behave.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum Mood {
    #[default]
    Answers,
    /// As a context fails: with a reason.
    Fails(Code),
    /// As a proxy fails that finds nobody: without one.
    Absent,
    /// Sheds load, and says when to come back.
    Sheds(Duration),
    Hangs,
}

/// The contexts: they remember who called.
#[derive(Clone, Default)]
pub(crate) struct Received {
    callers: Arc<Mutex<Vec<Caller>>>,
    pub(crate) told: Arc<Mutex<member::GetTrustResponse>>,
    pub(crate) mood: Arc<Mutex<Mood>>,
    /// Moods of the next calls, before that.
    first: Arc<Mutex<VecDeque<Mood>>>,
}

impl Received {
    pub(crate) fn callers(&self) -> Vec<Caller> {
        self.callers.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Caller {
        self.callers().pop().unwrap()
    }

    pub(crate) fn become_(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// How the next calls are met, one after the other.
    pub(crate) fn first(&self, moods: impl IntoIterator<Item = Mood>) {
        self.first.lock().unwrap().extend(moods);
    }

    async fn answer<Q, A: Default>(&self, request: Request<Q>) -> Result<Response<A>, Status> {
        assert_eq!(request.metadata().get("x-berth-service"), None);
        assert_eq!(request.metadata().get("authorization"), None);
        let (caller, _) = accept(request);
        self.callers.lock().unwrap().push(caller);
        let mood = self.first.lock().unwrap().pop_front();
        let mood = mood.unwrap_or_else(|| *self.mood.lock().unwrap());
        match mood {
            Mood::Answers => Ok(Response::new(A::default())),
            Mood::Fails(code) => {
                let details = ErrorDetails::with_error_info(format!("{code:?}"), "berth", []);
                Err(Status::with_error_details(code, "as told", details))
            }
            Mood::Absent => Err(Status::unavailable("nobody is there")),
            Mood::Sheds(delay) => Err(retry_after(delay, Kind::Unavailable, "OVERLOADED", "later")),
            Mood::Hangs => std::future::pending().await,
        }
    }
}

impl Platform {
    /// A platform at noon that knows the key of `member`.
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new(noon());
        let trust = Trust::new(
            TrustSettings::default(),
            Some(service_key(7)),
            Clock::Manual(clock.clone()),
        );
        trust.learn(told());
        let heard = Received::default();
        *heard.told.lock().unwrap() = told();
        Self {
            clock,
            trust,
            heard,
        }
    }

    pub(crate) fn bare(&self) -> Routes {
        Routes::new(RoomServiceServer::new(self.heard.clone()))
            .add_service(PaymentServiceServer::new(self.heard.clone()))
            .add_service(MemberServiceServer::new(self.heard.clone()))
    }

    /// Rooms and payments behind the gate of `payment`.
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

/// A service whose rpcs all answer alike.
macro_rules! answers {
    ($service:ident in $package:ident: $($rpc:ident($request:ident) -> $response:ident),+; $($rest:tt)*) => {
        #[tonic::async_trait]
        impl $service for Received {
            $(async fn $rpc(
                &self,
                request: Request<$package::$request>,
            ) -> Result<Response<$package::$response>, Status> {
                self.answer(request).await
            })+
            $($rest)*
        }
    };
}

answers!(RoomService in room:
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

answers!(PaymentService in payment:
    charge_payment(ChargePaymentRequest) -> ChargePaymentResponse,
    get_payment(GetPaymentRequest) -> GetPaymentResponse,
    list_payments(ListPaymentsRequest) -> ListPaymentsResponse,
    get_ledger(GetLedgerRequest) -> GetLedgerResponse,
    receive_notification(ReceiveNotificationRequest) -> ReceiveNotificationResponse;
);

answers!(MemberService in member:
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
        self.answer::<_, member::GetTrustResponse>(request).await?;
        Ok(Response::new(self.told.lock().unwrap().clone()))
    }
);
