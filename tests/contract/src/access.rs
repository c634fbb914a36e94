//! Rules for access: `(berth.common.v1.access)`.
use berth::common::v1::{Access, Role};
use prost_reflect::{DescriptorPool, Kind, MessageDescriptor, MethodDescriptor};

use crate::contracts::{access, field_at, messages, methods, snake};

/// Every rpc declares exactly one of public, internal and roles.
pub fn declared(pool: &DescriptorPool) -> Vec<String> {
    let ways = |access: &Access| {
        [access.public, access.internal, !access.roles.is_empty()]
            .into_iter()
            .filter(|way| *way)
            .count()
    };
    methods(pool)
        .filter(|method| access(method).as_ref().map(ways) != Some(1))
        .map(|method| {
            format!(
                "{}: access must be one of public, internal and roles",
                method.full_name()
            )
        })
        .collect()
}

/// A person may access only their own resources: an rpc for roles other than ADMIN declares an owner, and no other rpc does.
pub fn owned(pool: &DescriptorPool) -> Vec<String> {
    let personal = |access: &Access| access.roles().any(|role| role != Role::Admin);
    let owned = |access: &Access| access.owner_field.len() + access.resource_owners.len() > 0;
    declarations(pool)
        .filter(|(_, access)| personal(access) != owned(access))
        .map(|(method, _)| {
            format!(
                "{}: roles other than ADMIN, and only they, go with owner_field or resource_owners",
                method.full_name()
            )
        })
        .collect()
}

/// The owner field is a string of the request.
pub fn owner_field(pool: &DescriptorPool) -> Vec<String> {
    declarations(pool)
        .map(|(method, access)| (method, access.owner_field))
        .filter(|(method, path)| !path.is_empty() && !is_string(&method.input(), path))
        .map(|(method, path)| {
            format!(
                "{}: owner_field {path} is no string of the request",
                method.full_name()
            )
        })
        .collect()
}

/// Owners of a resource are strings of a message in the same package, by its name: `room.host_id` is in `Room`.
pub fn resource_owners(pool: &DescriptorPool) -> Vec<String> {
    let exists = |package: &str, owner: &str| {
        owner.split_once('.').is_some_and(|(resource, path)| {
            messages(pool)
                .filter(|message| message.package_name() == package)
                .any(|message| snake(message.name()) == resource && is_string(&message, path))
        })
    };
    let mut wrong = Vec::new();
    for (method, access) in declarations(pool) {
        for owner in access.resource_owners {
            if !exists(method.parent_service().package_name(), &owner) {
                wrong.push(format!(
                    "{}: resource owner {owner} is no string of a message of the package",
                    method.full_name()
                ));
            }
        }
    }
    wrong
}

fn declarations(pool: &DescriptorPool) -> impl Iterator<Item = (MethodDescriptor, Access)> + '_ {
    methods(pool).filter_map(|method| Some((method.clone(), access(&method)?)))
}

fn is_string(message: &MessageDescriptor, path: &str) -> bool {
    field_at(message, path).is_some_and(|field| field.kind() == Kind::String && !field.is_list())
}
