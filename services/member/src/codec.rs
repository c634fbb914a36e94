//! The wall between the contract and the rules.

use std::collections::BTreeSet;

use berth::{
    common::v1 as common,
    member::v1::{self as proto, MemberJoined, MemberModified},
};
use chassis::{
    EventType, Fact, Kind, MemberId, Publish, Refused, Timestamp, Versioned, Violations,
    base::time, error::status::retry_after, store::ExecuteError,
};
use secrecy::SecretString;
use tonic::Status;

use crate::{
    domain::{
        Refusal,
        account::{Account, Event},
        keys::{self, KeyRing},
        session::{self, Session},
        values::{Email, KeyId, Role, SessionId},
    },
    tokens::RefreshToken,
};

/// What the context publishes.
pub(crate) const EVENTS: &[EventType] = &[
    EventType::of::<MemberJoined>(),
    EventType::of::<MemberModified>(),
];

impl Publish for Account {
    fn facts(_: MemberId, event: &Event, after: &Versioned<Self>) -> Vec<Fact> {
        let member = Some(member(after));
        match event {
            Event::Joined { .. } => vec![Fact::of(&MemberJoined { member })],
            Event::RolesSet { .. } | Event::Suspended { .. } | Event::Readmitted => {
                vec![Fact::of(&MemberModified { member })]
            }
            Event::SignedIn | Event::WrongPassword { .. } | Event::PasswordChanged { .. } => vec![],
        }
    }
}

/// Sessions are nobody else's business; what ended is told by GetTrust.
impl Publish for Session {
    fn facts(_: SessionId, _: &session::Event, _: &Versioned<Self>) -> Vec<Fact> {
        vec![]
    }
}

/// So are keys.
impl Publish for KeyRing {
    fn facts(_: keys::KeyRingId, _: &keys::Event, _: &Versioned<Self>) -> Vec<Fact> {
        vec![]
    }
}

impl Refused for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::Unknown => Kind::NotFound,
            Self::EmailTaken | Self::IdReused => Kind::AlreadyExists,
            Self::TooManyAttempts { .. } => Kind::Exhausted,
            Self::Raced => Kind::Aborted,
            Self::BadCredentials | Self::Suspended | Self::TokenReused | Self::SessionEnded => {
                Kind::Unauthenticated
            }
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Unknown => "NOT_FOUND",
            Self::EmailTaken => "EMAIL_TAKEN",
            Self::IdReused => "IDEMPOTENCY_KEY_REUSED",
            Self::BadCredentials => "BAD_CREDENTIALS",
            Self::TooManyAttempts { .. } => "TOO_MANY_ATTEMPTS",
            Self::Suspended => "MEMBER_SUSPENDED",
            Self::Raced => "CONTENDED",
            Self::TokenReused => "TOKEN_REUSED",
            Self::SessionEnded => "SESSION_ENDED",
        }
    }
}

/// A "no" as an error; one that passes by itself says when.
pub(crate) fn refused(error: impl Into<ExecuteError<Refusal>>, now: Timestamp) -> Status {
    match error.into() {
        ExecuteError::Refused(refusal @ Refusal::TooManyAttempts { until }) => {
            let delay = until.duration_since(now).unsigned_abs();
            retry_after(delay, refusal.kind(), refusal.reason(), refusal.to_string())
        }
        error => error.into(),
    }
}

impl From<Refusal> for ExecuteError<Refusal> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Who wants to join.
#[derive(Clone, Debug)]
pub(crate) struct Joining {
    pub(crate) member: MemberId,
    pub(crate) email: Email,
    pub(crate) display_name: String,
    pub(crate) roles: BTreeSet<Role>,
    pub(crate) password: SecretString,
}

pub(crate) fn joining(request: proto::JoinRequest) -> Result<Joining, Status> {
    let mut wrong = Violations::new();
    let member = wrong.parse("member_id", &request.member_id);
    let email = wrong.parse("email", &request.email);
    let display_name = one_line(&mut wrong, "display_name", request.display_name, 100);
    let password = password(&mut wrong, "password", request.password, 10);
    let mut roles = roles(&mut wrong, &request.roles);
    let wants_admin = roles.remove(&Role::Admin);
    wrong.require(!wants_admin, "roles", "must be CUSTOMER, HOST or both");
    if roles.is_empty() {
        roles.insert(Role::Customer);
    }
    let joining = || {
        Some(Joining {
            member: member?,
            email: email?,
            display_name: display_name?,
            roles,
            password: password?,
        })
    };
    let joining = joining();
    wrong.check(joining)
}

pub(crate) fn member_id(id: &str) -> Result<MemberId, Status> {
    let mut wrong = Violations::new();
    let id = wrong.parse("member_id", id);
    wrong.check(id)
}

pub(crate) fn new_roles(
    request: &proto::SetRolesRequest,
) -> Result<(MemberId, BTreeSet<Role>), Status> {
    let mut wrong = Violations::new();
    let member = wrong.parse("member_id", &request.member_id);
    let roles = roles(&mut wrong, &request.roles);
    wrong.require(
        !request.roles.is_empty(),
        "roles",
        "must have at least one role",
    );
    wrong.check(member.map(|member| (member, roles)))
}

/// Who changes their password: the member, the old password, the new one.
pub(crate) fn new_password(
    request: proto::ChangePasswordRequest,
) -> Result<(MemberId, SecretString, SecretString), Status> {
    let mut wrong = Violations::new();
    wrong.require(
        request.old_password != request.new_password,
        "new_password",
        "must differ from the old one",
    );
    let member = wrong.parse("member_id", &request.member_id);
    let old = password(&mut wrong, "old_password", request.old_password, 1);
    let new = password(&mut wrong, "new_password", request.new_password, 10);
    let change = || Some((member?, old?, new?));
    let change = change();
    wrong.check(change)
}

pub(crate) fn signing_in(request: proto::SignInRequest) -> Result<(Email, SecretString), Status> {
    let mut wrong = Violations::new();
    let email = wrong.parse("email", &request.email);
    let password = password(&mut wrong, "password", request.password, 1);
    wrong.check(email.zip(password))
}

pub(crate) fn refresh_token(request: &proto::RefreshTokensRequest) -> Result<RefreshToken, Status> {
    let mut wrong = Violations::new();
    let token = wrong.parse("refresh_token", &request.refresh_token);
    wrong.check(token)
}

pub(crate) fn key_id(request: &proto::RotateKeysRequest) -> Result<KeyId, Status> {
    let mut wrong = Violations::new();
    let id = wrong.parse("key_id", &request.key_id);
    wrong.check(id)
}

pub(crate) fn member(account: &Versioned<Account>) -> proto::Member {
    let Versioned { state, version, .. } = account;
    proto::Member {
        member_id: state.member.to_string(),
        email: state.email.as_str().to_owned(),
        display_name: state.display_name.clone(),
        roles: wire_roles(state).map(Into::into).collect(),
        suspended: state.suspended,
        version: *version,
        create_time: Some(time::to_proto(account.created)),
    }
}

/// What a member may do, in the words of the contract.
pub(crate) fn wire_roles(account: &Account) -> impl Iterator<Item = common::Role> {
    account.roles.iter().copied().map(wire_role)
}

fn wire_role(role: Role) -> common::Role {
    match role {
        Role::Customer => common::Role::Customer,
        Role::Host => common::Role::Host,
        Role::Admin => common::Role::Admin,
    }
}

pub(crate) fn json_web_keys<'a>(
    keys: impl Iterator<Item = (KeyId, &'a str)>,
) -> Vec<proto::JsonWebKey> {
    keys.map(|(id, public)| proto::JsonWebKey {
        kty: "OKP".into(),
        crv: "Ed25519".into(),
        r#use: "sig".into(),
        alg: "EdDSA".into(),
        kid: id.to_string(),
        x: public.into(),
    })
    .collect()
}

fn roles(wrong: &mut Violations, roles: &[i32]) -> BTreeSet<Role> {
    let role = |role: &i32| match common::Role::try_from(*role) {
        Ok(common::Role::Customer) => Some(Role::Customer),
        Ok(common::Role::Host) => Some(Role::Host),
        Ok(common::Role::Admin) => Some(Role::Admin),
        Ok(common::Role::Unspecified) | Err(_) => None,
    };
    let known = roles.iter().all(|number| role(number).is_some());
    wrong.require(known, "roles", "must be known roles");
    roles.iter().filter_map(role).collect()
}

fn one_line(wrong: &mut Violations, field: &str, text: String, max: usize) -> Option<String> {
    let text = wrong.text(field, text, 1, max)?;
    let is_line = !text.chars().any(char::is_control);
    wrong.require(is_line, field, "must be one line");
    is_line.then_some(text)
}

/// A password may have any characters; what is wrong with it is told without it.
fn password(
    wrong: &mut Violations,
    field: &str,
    password: String,
    min: usize,
) -> Option<SecretString> {
    let length = password.chars().count();
    let fits = (min..=200).contains(&length);
    wrong.require(fits, field, format!("must have {min} to 200 characters"));
    fits.then(|| password.into())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn whatever_comes_is_taken_or_refused(
            texts in vec(".{0,300}", 4),
            roles in vec(any::<i32>().prop_map(|n| n % 5), 0..4),
        ) {
            let [member_id, email, display_name, password] =
                texts.try_into().map_err(|_| TestCaseError::reject("four"))?;
            let request = proto::JoinRequest { member_id, email, display_name, password, roles };
            if let Err(refused) = joining(request) {
                prop_assert_eq!(refused.code(), tonic::Code::InvalidArgument);
            }
        }

        #[test]
        fn an_address_that_is_taken_is_the_same_when_taken_again(text in "\\PC{1,20}@\\PC{1,20}") {
            if let Ok(email) = text.parse::<Email>() {
                prop_assert_eq!(email.as_str().parse::<Email>(), Ok(email.clone()));
            }
        }

        #[test]
        fn known_roles_survive_the_wall(numbers in vec(1..=3_i32, 1..3)) {
            let member_id = "018f3c1a-7e2b-7c4d-9a5e-3b2f1d0c9e8a".to_owned();
            let request = proto::SetRolesRequest { member_id, roles: numbers.clone() };
            let (_, roles) = new_roles(&request).unwrap();
            let expected: BTreeSet<i32> = numbers.into_iter().collect();
            let survived = roles.iter().map(|role| wire_role(*role).into());
            prop_assert_eq!(survived.collect::<BTreeSet<i32>>(), expected);
        }
    }
}
