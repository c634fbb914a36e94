//! The table of all rpcs, read once from the descriptors: access, streaming, idempotency.

use std::{collections::HashMap, sync::LazyLock};

use berth::common::v1::{Access, Role};
use prost_reflect::{
    DescriptorPool, ExtensionDescriptor, Kind, MessageDescriptor, MethodDescriptor,
};
use prost_types::method_options::IdempotencyLevel;

/// The rpcs of this build: those of the contracts, health and reflection.
pub(crate) static RPCS: LazyLock<Rpcs> = LazyLock::new(|| {
    Rpcs::read(&[
        berth::DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ])
});

/// Stands for every path that names no rpc.
static UNKNOWN: LazyLock<Rpc> = LazyLock::new(|| Rpc {
    index: RPCS.0.len(),
    service: "unknown".to_owned(),
    method: "unknown".to_owned(),
    server_streaming: false,
    client_streaming: true,
    idempotency: IdempotencyLevel::IdempotencyUnknown,
    request: None,
    access: Who::Unguarded,
});

/// Name of the method option.
const OPTION: &str = "berth.common.v1.access";
/// Packages of the contracts.
const CONTRACTS: &str = "berth.";

/// Rpcs by path of the request (`/berth.room.v1.RoomService/GetRoom`).
#[derive(Debug, Default)]
pub(crate) struct Rpcs(HashMap<String, Rpc>);

/// One rpc.
#[derive(Debug, PartialEq)]
pub(crate) struct Rpc {
    /// Its position among all rpcs; the number of rpcs for the unknown one.
    pub(crate) index: usize,
    /// `berth.room.v1.RoomService`
    pub(crate) service: String,
    /// `GetRoom`
    pub(crate) method: String,
    /// Whether the response is a stream.
    pub(crate) server_streaming: bool,
    /// Whether the request is a stream.
    pub(crate) client_streaming: bool,
    /// What it says of a repeated call.
    pub(crate) idempotency: IdempotencyLevel,
    /// The message of a request; none for the unknown rpc.
    pub(crate) request: Option<MessageDescriptor>,
    /// Who may call it.
    pub(crate) access: Who,
}

/// Who may call an rpc.
#[derive(Debug, PartialEq)]
pub(crate) enum Who {
    /// Anybody.
    Public,
    /// Another service.
    Internal,
    /// A person with one of these roles, whom the request's owner field names if there is one.
    Roles(Vec<Role>, Option<OwnerField>),
    /// Everybody, because the rpc is not one of the contracts: health and reflection.
    Unguarded,
    /// Nobody: the contract declares nothing, or nothing that can be enforced.
    Nobody,
}

/// The field of a request that names its owner.
#[derive(Debug, PartialEq)]
pub(crate) struct OwnerField {
    /// Field numbers from the request down to the field.
    pub(crate) path: Vec<u32>,
    /// The path by names: `room.host_id`.
    pub(crate) field: String,
    /// What it names, for `NOT_FOUND`: `host` for `room.host_id`.
    pub(crate) what: String,
}

impl Rpcs {
    /// The rpc of a path, if there is one.
    pub(crate) fn get(&self, path: &str) -> Option<&Rpc> {
        self.0.get(path)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Reads the rpcs of some descriptor sets. Nobody may call an rpc of the contracts whose access cannot be read.
    pub(crate) fn read(descriptors: &[&[u8]]) -> Self {
        let mut rpcs = HashMap::new();
        for descriptors in descriptors {
            let pool = match DescriptorPool::decode(*descriptors) {
                Ok(pool) => pool,
                Err(error) => {
                    tracing::error!(error = %error, "the contracts cannot be read");
                    return Self::default();
                }
            };
            let option = pool.get_extension_by_name(OPTION);
            for service in pool.services() {
                for method in service.methods() {
                    let path = format!("/{}/{}", service.full_name(), method.name());
                    let rpc = Rpc {
                        index: rpcs.len(),
                        service: service.full_name().to_owned(),
                        method: method.name().to_owned(),
                        server_streaming: method.is_server_streaming(),
                        client_streaming: method.is_client_streaming(),
                        idempotency: idempotency(&method),
                        request: Some(method.input()),
                        access: access(&path, &method, option.as_ref()),
                    };
                    rpcs.insert(path, rpc);
                }
            }
        }
        Self(rpcs)
    }
}

impl Rpc {
    /// The rpc of a path; the unknown one if there is none.
    pub(crate) fn at(path: &str) -> &'static Self {
        RPCS.get(path).unwrap_or(&UNKNOWN)
    }

    /// Whether a repeated call has the same effect: unary, and its idempotency level says so.
    pub(crate) fn is_repeatable(&self) -> bool {
        let unary = !self.client_streaming && !self.server_streaming;
        unary && self.idempotency != IdempotencyLevel::IdempotencyUnknown
    }

    /// Whether it changes nothing, as its idempotency level says.
    pub(crate) fn reads_only(&self) -> bool {
        self.idempotency == IdempotencyLevel::NoSideEffects
    }

    /// Whether only operators may call it.
    pub(crate) fn is_for_operators(&self) -> bool {
        matches!(&self.access, Who::Roles(roles, _) if *roles == [Role::Admin])
    }

    /// Whether it is served even under overload.
    pub(crate) fn is_health(&self) -> bool {
        self.service == "grpc.health.v1.Health"
    }
}

/// The services of a package of the contracts, for example `berth.room.v1`.
pub fn services_of(package: &str) -> Vec<String> {
    let in_package = |name: &&String| {
        name.strip_prefix(package)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    let mut services: Vec<String> = RPCS
        .0
        .values()
        .map(|rpc| &rpc.service)
        .filter(in_package)
        .cloned()
        .collect();
    services.sort();
    services.dedup();
    services
}

fn access(path: &str, method: &MethodDescriptor, option: Option<&ExtensionDescriptor>) -> Who {
    if !method
        .parent_service()
        .package_name()
        .starts_with(CONTRACTS)
    {
        return Who::Unguarded;
    }
    who(method, option).unwrap_or_else(|why| {
        tracing::error!(
            rpc = path,
            why,
            "closed: the contract does not declare who may call it"
        );
        Who::Nobody
    })
}

fn idempotency(method: &MethodDescriptor) -> IdempotencyLevel {
    let options = method.method_descriptor_proto().options.as_ref();
    options.map_or(IdempotencyLevel::IdempotencyUnknown, |options| {
        options.idempotency_level()
    })
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
        field => Some(
            owner_field(method.input(), field)
                .ok_or("owner_field is not a singular string field")?,
        ),
    };
    match (access.public, access.internal, roles.is_empty(), owner) {
        (true, false, true, None) => Ok(Who::Public),
        (false, true, true, None) => Ok(Who::Internal),
        (false, false, false, owner) => Ok(Who::Roles(roles, owner)),
        _ => Err("not exactly one of public, internal and roles"),
    }
}

/// Resolves a dotted path of singular fields that ends in a string. In lists, maps and oneofs the owner would be ambiguous.
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
    (kind == Kind::String).then_some(OwnerField {
        path,
        field: dotted.to_owned(),
        what,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use prost::Message;
    use prost_reflect::{DynamicMessage, Value};

    use super::*;

    const REGISTER: &str = "RegisterRoom";
    const PATH: &str = "/berth.room.v1.RoomService/RegisterRoom";

    /// The contracts without any access option.
    pub(crate) fn undeclared() -> Rpcs {
        // This type does not know the option, so it drops it.
        let known = prost_types::FileDescriptorSet::decode(berth::DESCRIPTORS).unwrap();
        Rpcs::read(&[&known.encode_to_vec()])
    }

    /// The access of RegisterRoom if the contract declared this.
    fn declared(access: &Access) -> Who {
        let pool = DescriptorPool::decode(berth::DESCRIPTORS).unwrap();
        let message = |name| pool.get_message_by_name(name).unwrap();
        let option = pool.get_extension_by_name(OPTION).unwrap();
        let mut value = DynamicMessage::new(message("berth.common.v1.Access"));
        value.transcode_from(access).unwrap();
        let set = message("google.protobuf.FileDescriptorSet");
        let mut set = DynamicMessage::decode(set, berth::DESCRIPTORS).unwrap();
        for file in list(&mut set, "file") {
            for service in list(file, "service") {
                for method in list(service, "method") {
                    if method.get_field_by_name("name").unwrap().as_str() == Some(REGISTER) {
                        let options = method.get_field_by_name_mut("options").unwrap();
                        let options = options.as_message_mut().unwrap();
                        options.set_extension(&option, Value::Message(value.clone()));
                    }
                }
            }
        }
        let mut rules = Rpcs::read(&[&set.encode_to_vec()]);
        rules.0.remove(PATH).unwrap().access
    }

    fn list<'a>(
        message: &'a mut DynamicMessage,
        field: &str,
    ) -> impl Iterator<Item = &'a mut DynamicMessage> {
        let values = message.get_field_by_name_mut(field).unwrap();
        let values = values.as_list_mut().unwrap().iter_mut();
        values.map(|value| value.as_message_mut().unwrap())
    }

    fn flags(public: bool, internal: bool) -> Access {
        Access {
            public,
            internal,
            ..Access::default()
        }
    }

    fn merged(mut access: Access, other: &Access) -> Access {
        access.merge(&other.encode_to_vec()[..]).unwrap();
        access
    }

    /// A role of a later version, after known ones.
    fn unknown_roles(known: &[Role]) -> Access {
        let mut access = roles(known, "");
        access.roles.push(99);
        access
    }

    fn roles(roles: &[Role], owner_field: &str) -> Access {
        Access {
            roles: roles.iter().map(|role| (*role).into()).collect(),
            owner_field: owner_field.to_owned(),
            ..Access::default()
        }
    }

    #[test]
    fn every_rpc_of_the_contracts_declares_its_access() {
        assert!(RPCS.0.len() > 30);
        for (path, rule) in &RPCS.0 {
            assert_ne!(rule.access, Who::Nobody, "{path}");
        }
    }

    #[test]
    fn only_idempotent_unary_rpcs_are_repeatable() {
        let repeatable = |path| RPCS.get(path).map(Rpc::is_repeatable);
        for (path, expected) in [
            ("/berth.payment.v1.PaymentService/ChargePayment", true),
            ("/berth.offer.v1.OfferService/GetOffer", true),
            ("/berth.member.v1.MemberService/SignIn", false),
            ("/berth.member.v1.MemberService/RefreshTokens", false),
        ] {
            assert_eq!(repeatable(path), Some(expected), "{path}");
        }
    }

    #[test]
    fn access_is_what_the_contract_declares() {
        let host = vec![Role::Host];
        let owner = OwnerField {
            path: vec![1, 2],
            field: "room.host_id".to_owned(),
            what: "host".to_owned(),
        };
        assert_eq!(
            declared(&roles(&[Role::Host], "room.host_id")),
            Who::Roles(host.clone(), Some(owner))
        );
        assert_eq!(declared(&roles(&[Role::Host], "")), Who::Roles(host, None));
        assert_eq!(declared(&flags(true, false)), Who::Public);
        assert_eq!(declared(&flags(false, true)), Who::Internal);
    }

    #[test]
    fn an_rpc_without_declared_access_is_closed() {
        let undeclared = undeclared();
        let contracts = RPCS.0.values().filter(|rpc| rpc.access != Who::Unguarded);
        assert_eq!(undeclared.0.len(), contracts.count());
        assert!(undeclared.0.values().all(|rule| rule.access == Who::Nobody));
        assert_eq!(Rpcs::read(&[b"no descriptors"]).0.len(), 0);
    }

    #[test]
    fn contradictory_access_is_closed() {
        let host = roles(&[Role::Host], "");
        let contradictions = [
            Access::default(),
            flags(true, true),
            merged(flags(true, false), &host),
            merged(flags(false, true), &host),
            unknown_roles(&[]),
            unknown_roles(&[Role::Host]),
            roles(&[Role::Unspecified], ""),
            merged(flags(true, false), &roles(&[], "room.host_id")),
            roles(&[Role::Host], "host_id"),
            roles(&[Role::Host], "room"),
            roles(&[Role::Host], "room.units"),
            roles(&[Role::Host], "room.host_id.more"),
            roles(&[Role::Host], "room.blackouts.start"),
            roles(&[Role::Host], "."),
        ];
        for access in contradictions {
            assert_eq!(declared(&access), Who::Nobody, "{access:?}");
        }
    }

    #[test]
    fn an_rpc_is_found_by_its_path() {
        let rpc = Rpc::at("/berth.room.v1.RoomService/GetRoom");
        assert_eq!(rpc.service, "berth.room.v1.RoomService");
        assert!(!rpc.is_health() && !rpc.server_streaming);
        let watch = Rpc::at("/grpc.health.v1.Health/Watch");
        assert!(watch.is_health() && watch.server_streaming);
        assert_eq!(Rpc::at("/what/ever").method, "unknown");
    }

    #[test]
    fn the_services_of_a_package_are_found() {
        assert_eq!(services_of("berth.room.v1"), ["berth.room.v1.RoomService"]);
    }
}
