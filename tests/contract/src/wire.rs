//! The contracts as lines of text, which may only be added to, because clients rely on them.
use prost_reflect::{Cardinality, DescriptorPool, FieldDescriptor, Kind, MethodDescriptor};

use crate::{
    contracts::{enums, files, http, messages, methods, services},
    http::verb_and_path,
    rpcs::repeated,
};

/// One line for each package, service, rpc, message, field, enum and value, in order of the alphabet.
pub fn print(pool: &DescriptorPool) -> String {
    let mut lines = Vec::new();
    lines.extend(files(pool).map(|file| format!("package {}", file.package_name())));
    lines.extend(services(pool).map(|service| format!("service {}", service.full_name())));
    lines.extend(methods(pool).map(|method| rpc(&method)));
    for message in messages(pool) {
        lines.push(format!("message {}", message.full_name()));
        lines.extend(message.fields().map(|line| field(&line)));
    }
    for kind in enums(pool) {
        lines.push(format!("enum {}", kind.full_name()));
        for value in kind.values() {
            lines.push(format!(
                "value {}.{} = {}",
                kind.full_name(),
                value.name(),
                value.number()
            ));
        }
    }
    lines.sort();
    lines.dedup();
    lines.join("\n") + "\n"
}

/// The lines of `then` that `now` lacks.
pub fn missing(then: &str, now: &str) -> Vec<String> {
    then.lines()
        .filter(|line| !now.lines().any(|other| other == *line))
        .map(ToOwned::to_owned)
        .collect()
}

fn rpc(method: &MethodDescriptor) -> String {
    let stream = |streaming| if streaming { "stream " } else { "" };
    let route = http(method);
    let (verb, path) = route.as_ref().and_then(verb_and_path).unwrap_or_default();
    format!(
        "rpc {}({}{}) returns ({}{}) {} {verb} {path}",
        method.full_name(),
        stream(method.is_client_streaming()),
        method.input().full_name(),
        stream(method.is_server_streaming()),
        method.output().full_name(),
        repeated(method).unwrap_or_default(),
    )
    .trim_end()
    .to_owned()
}

fn field(field: &FieldDescriptor) -> String {
    let kind = match field.kind() {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(kind) => kind.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    };
    let label = match field.cardinality() {
        Cardinality::Repeated => "repeated ",
        _ if field.field_descriptor_proto().proto3_optional() => "optional ",
        _ => "",
    };
    let choice = field
        .containing_oneof()
        .filter(|oneof| !oneof.is_synthetic())
        .map(|oneof| format!(" oneof {}", oneof.name()));
    format!(
        "field {} = {}: {label}{kind}{}",
        field.full_name(),
        field.number(),
        choice.unwrap_or_default()
    )
}
