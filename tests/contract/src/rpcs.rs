//! Rules for requests, pages, masks, ids and idempotency of rpcs.
use prost_reflect::{DescriptorPool, Kind, MessageDescriptor, MethodDescriptor};

use crate::{
    contracts::{EVENT_LOG, access, http, methods},
    http::verb_and_path,
};

/// Every rpc declares its idempotency.
pub fn idempotency(pool: &DescriptorPool) -> Vec<String> {
    methods(pool)
        .filter(|method| repeated(method).is_none())
        .map(|method| format!("{}: has no idempotency_level", method.full_name()))
        .collect()
}

/// A list has pages.
pub fn pages(pool: &DescriptorPool) -> Vec<String> {
    let mut wrong = Vec::new();
    for method in methods(pool).filter(|method| method.name().starts_with("List")) {
        for (message, name, kind) in [
            (method.input(), "page_size", Kind::Int32),
            (method.input(), "page_token", Kind::String),
            (method.output(), "next_page_token", Kind::String),
        ] {
            if !has(&message, name, &kind) {
                wrong.push(format!("{}: lacks {kind:?} {name}", message.full_name()));
            }
        }
    }
    wrong
}

/// A modification has a field mask.
pub fn masks(pool: &DescriptorPool) -> Vec<String> {
    let is_masked = |request: &MessageDescriptor| {
        let mask = pool.get_message_by_name("google.protobuf.FieldMask");
        mask.is_some_and(|mask| has(request, "update_mask", &Kind::Message(mask)))
    };
    methods(pool)
        .filter(|method| method.name().starts_with("Modify") && !is_masked(&method.input()))
        .map(|method| format!("{}: lacks update_mask", method.input().full_name()))
        .collect()
}

/// The client chooses the id of what it creates, so that a repeat is recognised: field 1 of the created message. An rpc that
/// creates is an idempotent POST on a collection, or an idempotent call between services.
pub fn ids(pool: &DescriptorPool) -> Vec<String> {
    methods(pool)
        .filter(|method| repeated(method) == Some("IDEMPOTENT"))
        .filter_map(|method| Some((created(&method)?, method)))
        .filter(|(created, _)| {
            let id = created.get_field(1);
            !id.is_some_and(|id| id.name().ends_with("_id") && id.kind() == Kind::String)
        })
        .map(|(created, method)| {
            format!(
                "{}: field 1 of {} is not the id that the client chooses",
                method.full_name(),
                created.full_name()
            )
        })
        .collect()
}

/// The message that an rpc creates.
fn created(method: &MethodDescriptor) -> Option<MessageDescriptor> {
    let request = method.input();
    let Some(rule) = http(method) else {
        let internal = access(method).is_some_and(|access| access.internal);
        let elsewhere = method.parent_service().full_name() == EVENT_LOG;
        return (internal && !elsewhere).then_some(request);
    };
    let (verb, path) = verb_and_path(&rule)?;
    if verb != "POST" || path.contains([':', '{']) {
        return None;
    }
    match rule.body.as_str() {
        "*" => Some(request),
        body => request
            .get_field_by_name(body)?
            .kind()
            .as_message()
            .cloned(),
    }
}

/// The declared `idempotency_level`.
pub(crate) fn repeated(method: &MethodDescriptor) -> Option<&'static str> {
    let proto = method.method_descriptor_proto();
    let options = proto.options.as_ref()?;
    options
        .idempotency_level
        .map(|_| options.idempotency_level().as_str_name())
}

fn has(message: &MessageDescriptor, name: &str, kind: &Kind) -> bool {
    let field = message.get_field_by_name(name);
    field.is_some_and(|field| field.kind() == *kind && !field.is_list())
}
