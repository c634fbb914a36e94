//! The people of the demo, and the clients that they call the platform with.

use berth::{
    common::v1::Role,
    member::v1::{JoinRequest, SignInRequest, member_service_client::MemberServiceClient},
    message::v1::message_service_client::MessageServiceClient,
    payment::v1::payment_service_client::PaymentServiceClient,
    reservation::v1::reservation_service_client::ReservationServiceClient,
    room::v1::room_service_client::RoomServiceClient,
    view::v1::view_service_client::ViewServiceClient,
};
use chassis::{MemberId, base::random};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
};

use super::{
    narrator::{Mismatch, Narrator},
    servers::Platform,
};

/// Adds a person's access token to every call.
#[derive(Clone, Debug)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let token = self.0.clone();
        request.metadata_mut().insert("authorization", token);
        Ok(request)
    }
}

type Signed = InterceptedService<Platform, Bearer>;

/// A member who has signed in.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: String,
    platform: Platform,
    bearer: Bearer,
}

impl Person {
    /// Joins with a role and signs in.
    pub(crate) async fn join(
        narrator: &mut Narrator,
        platform: &Platform,
        name: &str,
        role: Role,
    ) -> Result<Self, Mismatch> {
        let id = random::id::<MemberId>().to_string();
        // A new address in each run, so that the demo can be repeated.
        let new = id.split('-').next().unwrap_or(&id);
        let email = format!("{}-{new}@demo.example", name.to_lowercase());
        // A random password, because the demo signs in once.
        let password = random::id::<MemberId>().to_string();
        let role_name = super::summary::word(role.as_str_name());
        let mut members = MemberServiceClient::new(platform.clone());

        let request = JoinRequest {
            member_id: id.clone(),
            email: email.clone(),
            display_name: name.to_owned(),
            password: password.clone(),
            roles: vec![role.into()],
        };
        let what = format!("{name} joins as {role_name}: {email}");
        let joined = format!("{name}, {role_name}");
        narrator
            .expect(&what, members.join(request), &joined)
            .await?;

        let request = SignInRequest { email, password };
        let what = format!("{name} signs in");
        let signed_in = format!("tokens for {name}, {role_name}");
        let answer = narrator
            .expect(&what, members.sign_in(request), &signed_in)
            .await?;
        let token = answer.tokens.unwrap_or_default().access_token;
        let bearer = format!("Bearer {token}").parse();
        Ok(Self {
            id,
            platform: platform.clone(),
            bearer: Bearer(bearer.map_err(|_| narrator.mismatch("an invalid token", "a token"))?),
        })
    }

    /// Rooms and reviews.
    pub(crate) fn rooms(&self) -> RoomServiceClient<Signed> {
        RoomServiceClient::with_interceptor(self.platform.clone(), self.bearer.clone())
    }

    /// Reservations.
    pub(crate) fn reservations(&self) -> ReservationServiceClient<Signed> {
        ReservationServiceClient::with_interceptor(self.platform.clone(), self.bearer.clone())
    }

    /// Payments.
    pub(crate) fn payments(&self) -> PaymentServiceClient<Signed> {
        PaymentServiceClient::with_interceptor(self.platform.clone(), self.bearer.clone())
    }

    /// Messages.
    pub(crate) fn messages(&self) -> MessageServiceClient<Signed> {
        MessageServiceClient::with_interceptor(self.platform.clone(), self.bearer.clone())
    }

    /// The view.
    pub(crate) fn views(&self) -> ViewServiceClient<Signed> {
        ViewServiceClient::with_interceptor(self.platform.clone(), self.bearer.clone())
    }
}
