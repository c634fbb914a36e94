//! Accounts: join, roles, passwords, events.

use std::collections::BTreeSet;

use berth::{
    common::v1 as common,
    member::v1::{self as proto, MemberJoined, MemberModified},
};
use chassis::{Fact, MemberId, Publish, Versioned, Violations, base::time};
use secrecy::{ExposeSecret, SecretString};
use tonic::Status;

use super::{MIN_PASSWORD, password};
use crate::domain::{
    account::{Account, Event},
    attempts::{self, Attempts, BucketId},
    values::{Email, Role},
};

impl Publish for Account {
    fn facts(_: MemberId, event: &Event, after: &Versioned<Self>) -> Vec<Fact> {
        let member = Some(to_proto(after));
        match event {
            Event::Joined { .. } => vec![Fact::of(&MemberJoined { member })],
            Event::RolesSet { .. } | Event::Suspended { .. } | Event::Readmitted => {
                vec![Fact::of(&MemberModified { member })]
            }
            Event::SignedIn { .. } | Event::PasswordChanged { .. } => vec![],
        }
    }
}

/// Failed attempts publish no events.
impl Publish for Attempts {
    fn facts(_: BucketId, _: &attempts::Event, _: &Versioned<Self>) -> Vec<Fact> {
        vec![]
    }
}

/// The content of a join request.
#[derive(Clone, Debug)]
pub(crate) struct JoinDetails {
    pub(crate) member: MemberId,
    pub(crate) email: Email,
    pub(crate) display_name: String,
    pub(crate) roles: BTreeSet<Role>,
    pub(crate) password: SecretString,
}

pub(crate) fn join(request: proto::JoinRequest) -> Result<JoinDetails, Status> {
    let mut v = Violations::new();
    let member = v.parse("member_id", &request.member_id);
    let email = v.parse("email", &request.email);
    let display_name = v.line("display_name", request.display_name, 1, 100);
    let password = password(&mut v, "password", &request.password, MIN_PASSWORD);
    let mut roles = roles(&mut v, &request.roles);
    let has_admin = roles.remove(&Role::Admin);
    v.require(!has_admin, "roles", "must be CUSTOMER, HOST or both");
    if roles.is_empty() {
        roles.insert(Role::Customer);
    }
    let details = (|| {
        Some(JoinDetails {
            member: member?,
            email: email?,
            display_name: display_name?,
            roles,
            password: password?,
        })
    })();
    v.check(details)
}

pub(crate) fn member_id(id: &str) -> Result<MemberId, Status> {
    let mut v = Violations::new();
    let id = v.parse("member_id", id);
    v.check(id)
}

pub(crate) fn set_roles(
    request: &proto::SetRolesRequest,
) -> Result<(MemberId, BTreeSet<Role>), Status> {
    let mut v = Violations::new();
    let member = v.parse("member_id", &request.member_id);
    let roles = roles(&mut v, &request.roles);
    v.require(
        !request.roles.is_empty(),
        "roles",
        "must have at least one role",
    );
    v.check(member.map(|member| (member, roles)))
}

/// Returns the member, the old password and the new one.
pub(crate) fn change_password(
    request: &proto::ChangePasswordRequest,
) -> Result<(MemberId, SecretString, SecretString), Status> {
    let mut v = Violations::new();
    let member = v.parse("member_id", &request.member_id);
    let old = password(&mut v, "old_password", &request.old_password, 1);
    let new = password(&mut v, "new_password", &request.new_password, MIN_PASSWORD);
    if let (Some(old), Some(new)) = (&old, &new) {
        let differ = old.expose_secret() != new.expose_secret();
        v.require(differ, "new_password", "must differ from the old one");
    }
    v.check((|| Some((member?, old?, new?)))())
}

pub(crate) fn to_proto(account: &Versioned<Account>) -> proto::Member {
    let Versioned { state, version, .. } = account;
    proto::Member {
        member_id: state.member.to_string(),
        email: state.email.as_str().to_owned(),
        display_name: state.display_name.clone(),
        roles: roles_to_proto(state).map(Into::into).collect(),
        suspended: state.suspended,
        version: *version,
        create_time: Some(time::to_proto(account.created)),
    }
}

pub(crate) fn roles_to_proto(account: &Account) -> impl Iterator<Item = common::Role> {
    account.roles.iter().copied().map(role_to_proto)
}

fn role_to_proto(role: Role) -> common::Role {
    match role {
        Role::Customer => common::Role::Customer,
        Role::Host => common::Role::Host,
        Role::Admin => common::Role::Admin,
    }
}

fn roles(v: &mut Violations, roles: &[i32]) -> BTreeSet<Role> {
    let role = |role: &i32| match common::Role::try_from(*role) {
        Ok(common::Role::Customer) => Some(Role::Customer),
        Ok(common::Role::Host) => Some(Role::Host),
        Ok(common::Role::Admin) => Some(Role::Admin),
        Ok(common::Role::Unspecified) | Err(_) => None,
    };
    let are_known = roles.iter().all(|number| role(number).is_some());
    v.require(are_known, "roles", "must be known roles");
    roles.iter().filter_map(role).collect()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn any_join_request_is_accepted_or_an_invalid_argument(
            texts in vec(".{0,300}", 4),
            roles in vec(any::<i32>().prop_map(|n| n % 5), 0..4),
        ) {
            let [member_id, email, display_name, password] =
                texts.try_into().map_err(|_| TestCaseError::reject("four"))?;
            let request = proto::JoinRequest { member_id, email, display_name, password, roles };
            if let Err(refused) = join(request) {
                prop_assert_eq!(refused.code(), tonic::Code::InvalidArgument);
            }
        }

        #[test]
        fn a_parsed_email_address_parses_to_itself(
            text in prop_oneof!["\\PC{1,20}@\\PC{1,20}", "\\w{1,9}@\\w{1,9}\\.\\w{1,9}"],
        ) {
            if let Ok(email) = text.parse::<Email>() {
                prop_assert_eq!(email.as_str().parse::<Email>(), Ok(email.clone()));
            }
        }

        #[test]
        fn known_roles_survive_the_round_trip(numbers in vec(1..=3_i32, 1..3)) {
            let member_id = "018f3c1a-7e2b-7c4d-9a5e-3b2f1d0c9e8a".to_owned();
            let request = proto::SetRolesRequest { member_id, roles: numbers.clone() };
            let (_, roles) = set_roles(&request).unwrap();
            let expected: BTreeSet<i32> = numbers.into_iter().collect();
            let survived = roles.iter().map(|role| role_to_proto(*role).into());
            prop_assert_eq!(survived.collect::<BTreeSet<i32>>(), expected);
        }
    }
}
