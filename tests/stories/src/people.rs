//! People act in a story through the public port only.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use berth::{
    common::v1::Role,
    member::v1::{JoinRequest, Member, SignInRequest, member_service_client::MemberServiceClient},
    message::v1::{ListMessagesRequest, Message, message_service_client::MessageServiceClient},
    offer::v1::Period,
    payment::v1::{GetPaymentRequest, Payment, payment_service_client::PaymentServiceClient},
    reservation::v1::{
        GetReservationRequest, RequestReservationRequest, RequestReservationResponse, Reservation,
        reservation_service_client::ReservationServiceClient,
    },
    room::v1::{Room, room_service_client::RoomServiceClient},
    view::v1::{ListMyPageRequest, MyPageEntry, view_service_client::ViewServiceClient},
};
use chassis::{
    base::time::{SignedDuration, Timestamp},
    security::claims::Claims,
};
use futures::future::BoxFuture;
use http::HeaderValue;
use tonic::{
    Request, Status,
    body::Body,
    codegen::StdError,
    metadata::MetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};
use tonic_types::StatusExt;
use tower::{Service, ServiceExt};

/// How long a person waits before the next attempt while too many passwords are being checked.
const RETRY_DELAY: std::time::Duration = std::time::Duration::from_secs(1);

/// Adds a person's token to every call.
#[derive(Clone, Debug)]
pub struct Bearer(Arc<Mutex<String>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let token = format!(
            "Bearer {}",
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        );
        let value: MetadataValue<_> = token.parse().map_err(|_| Status::internal("token"))?;
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

type Signed = InterceptedService<Line, Bearer>;

/// The connections to the platform. An rpc is routed to the context of its package: `/berth.room.v1.RoomService/…` to
/// `room`. Clones share their channels.
#[derive(Clone, Debug, Default)]
pub struct Line {
    channels: Arc<Mutex<BTreeMap<String, Channel>>>,
    /// The trace context of every request, if the client traces.
    traceparent: Option<HeaderValue>,
}

impl Line {
    /// A line to a platform behind one channel.
    pub fn to(channel: Channel) -> Self {
        let line = Self::default();
        line.turn_to(channel);
        line
    }

    /// The same line, whose requests belong to a trace.
    #[must_use]
    pub fn in_trace(self, traceparent: &'static str) -> Self {
        Self {
            traceparent: Some(HeaderValue::from_static(traceparent)),
            ..self
        }
    }

    /// Routes every context to another channel.
    pub fn turn_to(&self, channel: Channel) {
        self.turn(EVERYTHING, channel);
    }

    /// Routes one context to another channel.
    pub fn turn(&self, context: &str, to: Channel) {
        self.channels().insert(context.to_owned(), to);
    }

    fn channel(&self, path: &str) -> Option<Channel> {
        let context = path
            .strip_prefix("/berth.")
            .and_then(|path| path.split('.').next());
        let channels = self.channels();
        let channel = context.and_then(|context| channels.get(context));
        channel.or_else(|| channels.get(EVERYTHING)).cloned()
    }

    fn channels(&self) -> MutexGuard<'_, BTreeMap<String, Channel>> {
        let channels = self.channels.lock();
        channels.unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key of the channel for every context.
const EVERYTHING: &str = "";

impl Service<http::Request<Body>> for Line {
    type Response = http::Response<Body>;
    type Error = StdError;
    type Future = BoxFuture<'static, Result<Self::Response, StdError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        if let Some(traceparent) = self.traceparent.clone() {
            request.headers_mut().insert("traceparent", traceparent);
        }
        let channel = self.channel(request.uri().path());
        Box::pin(async move {
            let channel = channel.ok_or("no channel for that rpc")?;
            Ok(channel.oneshot(request).await?)
        })
    }
}

/// A signed-in member of the platform.
#[derive(Clone, Debug)]
pub struct Person {
    /// Their id.
    pub id: String,
    /// Their address.
    pub email: String,
    token: Bearer,
    line: Line,
}

/// A token that expires sooner is renewed.
const MIN_VALIDITY: SignedDuration = SignedDuration::from_mins(5);

/// The password of every person in the stories.
pub const PASSWORD: &str = "correct horse battery staple";

impl Person {
    /// Joins the platform and signs in.
    pub async fn join(line: &Line, id: String, roles: &[Role]) -> Result<Self, Status> {
        let email = format!("{id}@stories.example");
        let request = JoinRequest {
            member_id: id.clone(),
            email: email.clone(),
            display_name: "Somebody".into(),
            password: PASSWORD.into(),
            roles: roles.iter().map(|role| i32::from(*role)).collect(),
        };
        let client = MemberServiceClient::new(line.clone());
        unless_busy(async || client.clone().join(request.clone()).await).await?;
        Self::sign_in(line, email, PASSWORD)
            .await
            .map(|(person, _)| person)
    }

    /// Signs a member in.
    pub async fn sign_in(
        line: &Line,
        email: String,
        password: &str,
    ) -> Result<(Self, Member), Status> {
        let (token, member) = tokens(line.clone(), &email, password).await?;
        let token = Bearer(Arc::new(Mutex::new(token)));
        Ok((
            Self {
                id: member.member_id.clone(),
                email,
                token,
                line: line.clone(),
            },
            member,
        ))
    }

    /// Signs in again, after the token has expired.
    pub async fn sign_in_again(&self) -> Result<(), Status> {
        let (token, _) = tokens(self.line.clone(), &self.email, PASSWORD).await?;
        *self.token.0.lock().unwrap_or_else(PoisonError::into_inner) = token;
        Ok(())
    }

    /// Whether their token is valid at a time and for `MIN_VALIDITY` after it.
    pub fn is_signed_in(&self, at: Timestamp) -> bool {
        let token = self.token();
        let claims = token.split('.').nth(1).unwrap_or_default();
        let claims = URL_SAFE_NO_PAD.decode(claims).expect("a token");
        let claims: Claims = serde_json::from_slice(&claims).expect("claims");
        claims.iat <= at
            && at
                .saturating_add(MIN_VALIDITY)
                .is_ok_and(|soon| soon < claims.exp)
    }

    /// Their access token.
    pub fn token(&self) -> String {
        self.token
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Rooms and reviews.
    pub fn rooms(&self) -> RoomServiceClient<Signed> {
        RoomServiceClient::with_interceptor(self.line.clone(), self.token.clone())
    }

    /// Reservations.
    pub fn reservations(&self) -> ReservationServiceClient<Signed> {
        ReservationServiceClient::with_interceptor(self.line.clone(), self.token.clone())
    }

    /// Payments.
    pub fn payments(&self) -> PaymentServiceClient<Signed> {
        PaymentServiceClient::with_interceptor(self.line.clone(), self.token.clone())
    }

    /// Messages.
    pub fn messages(&self) -> MessageServiceClient<Signed> {
        MessageServiceClient::with_interceptor(self.line.clone(), self.token.clone())
    }

    /// Views.
    pub fn views(&self) -> ViewServiceClient<Signed> {
        ViewServiceClient::with_interceptor(self.line.clone(), self.token.clone())
    }

    /// Members.
    pub fn members(&self) -> MemberServiceClient<Signed> {
        MemberServiceClient::with_interceptor(self.line.clone(), self.token.clone())
    }

    /// A request for a room in a period; `id` is the reservation's.
    pub fn wants(&self, id: String, room: &Room, period: Period) -> RequestReservationRequest {
        RequestReservationRequest {
            reservation_id: id,
            offer_id: room.room_id.clone(),
            customer_id: self.id.clone(),
            period: Some(period),
            quantity: 1,
            persons: 1,
            payment_method: "tok_approved".into(),
        }
    }

    /// Requests a reservation.
    pub async fn request(
        &self,
        request: RequestReservationRequest,
    ) -> Result<RequestReservationResponse, Status> {
        Ok(self
            .reservations()
            .request_reservation(request)
            .await?
            .into_inner())
    }

    /// Requests a reservation and returns it.
    pub async fn book(&self, request: RequestReservationRequest) -> Result<Reservation, Status> {
        Ok(self.request(request).await?.reservation.unwrap_or_default())
    }

    /// A reservation as it is now.
    pub async fn reservation(&self, id: &str) -> Result<Reservation, Status> {
        let request = GetReservationRequest {
            reservation_id: id.to_owned(),
        };
        Ok(self
            .reservations()
            .get_reservation(request)
            .await?
            .into_inner()
            .reservation
            .unwrap_or_default())
    }

    /// The payment of a reservation as it is now.
    pub async fn payment(&self, id: &str) -> Result<Payment, Status> {
        let request = GetPaymentRequest {
            payment_id: id.to_owned(),
        };
        Ok(self
            .payments()
            .get_payment(request)
            .await?
            .into_inner()
            .payment
            .unwrap_or_default())
    }

    /// The newest hundred messages, newest first.
    pub async fn inbox(&self) -> Result<Vec<Message>, Status> {
        let request = ListMessagesRequest {
            page_size: 100,
            ..ListMessagesRequest::default()
        };
        Ok(self
            .messages()
            .list_messages(request)
            .await?
            .into_inner()
            .messages)
    }

    /// The newest hundred entries of their page, newest first.
    pub async fn my_page(&self) -> Result<Vec<MyPageEntry>, Status> {
        let request = ListMyPageRequest {
            page_size: 100,
            ..ListMyPageRequest::default()
        };
        Ok(self
            .views()
            .list_my_page(request)
            .await?
            .into_inner()
            .entries)
    }
}

async fn tokens(line: Line, email: &str, password: &str) -> Result<(String, Member), Status> {
    let request = SignInRequest {
        email: email.to_owned(),
        password: password.to_owned(),
    };
    let client = MemberServiceClient::new(line);
    let answer = unless_busy(async || client.clone().sign_in(request.clone()).await)
        .await?
        .into_inner();
    let tokens = answer.tokens.ok_or_else(|| Status::internal("no tokens"))?;
    Ok((tokens.access_token, answer.member.unwrap_or_default()))
}

/// Repeats a call while too many passwords are being checked: on a busy machine a hash takes long.
async fn unless_busy<T>(call: impl AsyncFn() -> Result<T, Status>) -> Result<T, Status> {
    let mut attempts = tokio::time::interval(RETRY_DELAY);
    loop {
        attempts.tick().await;
        match call().await {
            Err(status) if is_busy(&status) => {}
            done => return done,
        }
    }
}

fn is_busy(status: &Status) -> bool {
    let info = status.get_details_error_info();
    info.is_some_and(|info| info.reason == "SIGN_IN_BUSY")
}
