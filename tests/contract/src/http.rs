//! Rules for HTTP routes: `(google.api.http)`.
use std::collections::BTreeMap;

use berth::google::api::{HttpRule, http_rule::Pattern};
use prost_reflect::{DescriptorPool, MethodDescriptor};

use crate::{
    contracts::{EVENT_LOG, access, field_at, http, methods},
    rpcs::repeated,
};

/// Every rpc has a route, except those between services and those of the admin port, which have none.
pub fn exposed(pool: &DescriptorPool) -> Vec<String> {
    let is_hidden = |method: &MethodDescriptor| {
        method.parent_service().full_name() == EVENT_LOG
            || access(method).is_some_and(|access| access.internal)
    };
    methods(pool)
        .filter(|method| is_hidden(method) == http(method).is_some())
        .map(|method| match http(&method) {
            Some(_) => format!("{}: must have no route", method.full_name()),
            None => format!("{}: has no route", method.full_name()),
        })
        .collect()
}

/// The variables of a path and the body are fields of the request.
pub fn paths(pool: &DescriptorPool) -> Vec<String> {
    let mut wrong = Vec::new();
    for (method, rule) in rules(pool) {
        let path = verb_and_path(&rule).map_or("", |(_, path)| path);
        let body = Some(rule.body.as_str()).filter(|body| !["", "*"].contains(body));
        for field in variables(path).chain(body) {
            if field_at(&method.input(), field).is_none() {
                wrong.push(format!(
                    "{}: {field} is no field of the request",
                    method.full_name()
                ));
            }
        }
    }
    wrong
}

/// No two rpcs share a route.
pub fn routes(pool: &DescriptorPool) -> Vec<String> {
    let mut used = BTreeMap::new();
    let mut wrong = Vec::new();
    for (method, rule) in rules(pool) {
        let Some((verb, path)) = verb_and_path(&rule) else {
            wrong.push(format!("{}: route without a verb", method.full_name()));
            continue;
        };
        let plain = variables(path).fold(path.to_owned(), |path, name| path.replace(name, ""));
        let name = method.full_name().to_owned();
        if let Some(other) = used.insert((verb, plain), name.clone()) {
            wrong.push(format!("{verb} {path}: both {other} and {name}"));
        }
    }
    wrong
}

/// A GET has no side effects.
pub fn get(pool: &DescriptorPool) -> Vec<String> {
    rules(pool)
        .filter(|(_, rule)| verb_and_path(rule).is_some_and(|(verb, _)| verb == "GET"))
        .filter(|(method, _)| repeated(method) != Some("NO_SIDE_EFFECTS"))
        .map(|(method, _)| format!("{}: a GET has no side effects", method.full_name()))
        .collect()
}

/// `GET` and `/v1/rooms/{room_id}`.
pub(crate) fn verb_and_path(rule: &HttpRule) -> Option<(&'static str, &str)> {
    match rule.pattern.as_ref()? {
        Pattern::Get(path) => Some(("GET", path)),
        Pattern::Put(path) => Some(("PUT", path)),
        Pattern::Post(path) => Some(("POST", path)),
        Pattern::Delete(path) => Some(("DELETE", path)),
        Pattern::Patch(path) => Some(("PATCH", path)),
        Pattern::Custom(_) => None,
    }
}

/// The names in braces.
fn variables(path: &str) -> impl Iterator<Item = &str> {
    path.split('{')
        .skip(1)
        .filter_map(|rest| rest.split(['}', '=']).next())
}

fn rules(pool: &DescriptorPool) -> impl Iterator<Item = (MethodDescriptor, HttpRule)> + '_ {
    methods(pool).filter_map(|method| Some((method.clone(), http(&method)?)))
}
