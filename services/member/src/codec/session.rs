//! Sign-in and refresh tokens.

use berth::member::v1 as proto;
use chassis::{Fact, Publish, Versioned, Violations};
use secrecy::SecretString;
use tonic::Status;

use super::password;
use crate::{
    authentication::refresh_token::RefreshToken,
    domain::{
        session::{Event, Session},
        values::{Email, SessionId},
    },
};

/// Sessions publish no events. `GetTrust` returns the ended ones.
impl Publish for Session {
    fn facts(_: SessionId, _: &Event, _: &Versioned<Self>) -> Vec<Fact> {
        vec![]
    }
}

pub(crate) fn sign_in(request: &proto::SignInRequest) -> Result<(Email, SecretString), Status> {
    let mut v = Violations::new();
    let email = v.parse("email", &request.email);
    let password = password(&mut v, "password", &request.password, 1);
    v.check(email.zip(password))
}

pub(crate) fn refresh_token(request: &proto::RefreshTokensRequest) -> Result<RefreshToken, Status> {
    let mut v = Violations::new();
    let token = v.parse("refresh_token", &request.refresh_token);
    v.check(token)
}
