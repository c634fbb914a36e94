//! Who may call each rpc, read once from the contracts.

use std::{collections::HashMap, sync::LazyLock};

use berth::common::v1::{Access, Role};
use prost_reflect::{
    DescriptorPool, ExtensionDescriptor, Kind, MessageDescriptor, MethodDescriptor,
};

/// The rules of the contracts of this build.
pub(crate) static CONTRACTS: LazyLock<Rules> = LazyLock::new(|| Rules::read(berth::DESCRIPTORS));

/// Name of the method option.
const OPTION: &str = "berth.common.v1.access";
/// Packages whose rpcs are ours.
const OURS: &str = "berth.";

/// The rules, by path of the request (`/berth.room.v1.RoomService/GetRoom`).
#[derive(Debug, Default)]
pub(crate) struct Rules(HashMap<String, Rule>);

/// The rule of one rpc.
#[derive(Debug, PartialEq)]
pub(crate) struct Rule {
    pub(super) who: Who,
    /// Whether the answer is a stream.
    pub(crate) streams: bool,
}

/// Who may call an rpc.
#[derive(Debug, PartialEq)]
pub(super) enum Who {
    /// Anybody.
    Public,
    /// Another service.
    Internal,
    /// A person with one of these roles, whom the request's owner field names if there is one.
    Roles(Vec<Role>, Option<OwnerField>),
    /// Nobody: the contract does not say, or says something that cannot be enforced.
    Nobody,
}

/// A field of a request that names who it is about.
#[derive(Debug, PartialEq)]
pub(super) struct OwnerField {
    /// Field numbers from the request down to the field.
    pub(super) path: Vec<u32>,
    /// What it names, as `NOT_FOUND` tells it: `host` for `room.host_id`.
    pub(super) what: String,
}

impl Rules {
    /// The rule of an rpc, if it is one of ours.
    pub(crate) fn get(&self, path: &str) -> Option<&Rule> {
        self.0.get(path)
    }

    /// Reads the rules of all our rpcs. What cannot be read is closed to everybody.
    pub(super) fn read(descriptors: &[u8]) -> Self {
        let pool = match DescriptorPool::decode(descriptors) {
            Ok(pool) => pool,
            Err(error) => {
                tracing::error!(error = %error, "the contracts cannot be read");
                return Self::default();
            }
        };
        let option = pool.get_extension_by_name(OPTION);
        let ours = pool
            .services()
            .filter(|service| service.package_name().starts_with(OURS));
        let methods = ours.flat_map(|service| service.methods().collect::<Vec<_>>());
        Self(
            methods
                .map(|method| {
                    let path =
                        format!("/{}/{}", method.parent_service().full_name(), method.name());
                    let who = who(&method, option.as_ref()).unwrap_or_else(|why| {
                        tracing::error!(
                            rpc = path,
                            why,
                            "closed: the contract does not say who may call it"
                        );
                        Who::Nobody
                    });
                    let streams = method.is_server_streaming();
                    (path, Rule { who, streams })
                })
                .collect(),
        )
    }
}

fn who(
    method: &MethodDescriptor,
    option: Option<&ExtensionDescriptor>,
) -> Result<Who, &'static str> {
    let options = method.options();
    let option = option
        .filter(|option| options.has_extension(option))
        .ok_or("no access option")?;
    let value = options.get_extension(option);
    let access: Access = value
        .as_message()
        .and_then(|message| message.transcode_to().ok())
        .ok_or("malformed access option")?;
    let roles: Vec<Role> = access.roles().collect();
    if roles.contains(&Role::Unspecified) || roles.len() != access.roles.len() {
        return Err("unknown role");
    }
    let owner = match access.owner_field.as_str() {
        "" => None,
        _ if method.is_client_streaming() => return Err("owner_field of a stream"),
        field => {
            Some(owner_field(method.input(), field).ok_or("owner_field is not one text field")?)
        }
    };
    match (access.public, access.internal, roles.is_empty(), owner) {
        (true, false, true, None) => Ok(Who::Public),
        (false, true, true, None) => Ok(Who::Internal),
        (false, false, false, owner) => Ok(Who::Roles(roles, owner)),
        _ => Err("not exactly one of public, internal and roles"),
    }
}

/// Finds a dotted path of plain fields that ends in a text. Lists, maps and oneofs would leave open which one counts.
fn owner_field(request: MessageDescriptor, dotted: &str) -> Option<OwnerField> {
    let mut kind = Kind::Message(request);
    let mut path = Vec::new();
    for name in dotted.split('.') {
        let field = kind.as_message()?.get_field_by_name(name)?;
        let one_of = field
            .containing_oneof()
            .is_some_and(|one_of| !one_of.is_synthetic());
        if field.is_list() || field.is_map() || field.is_group() || one_of {
            return None;
        }
        path.push(field.number());
        kind = field.kind();
    }
    let last = dotted.rsplit('.').next()?;
    let what = last.strip_suffix("_id").unwrap_or(last).replace('_', " ");
    (kind == Kind::String).then_some(OwnerField { path, what })
}
