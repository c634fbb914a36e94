//! What the mesh's own admission and indexer demand beyond the schemas of its kinds, and what they only log.
use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    Deployment,
    mesh_kinds::{
        AuthorizationPolicy, EgressNetwork, GATEWAY, GRPCRoute, HTTPLocalRateLimitPolicy,
        MeshTLSAuthentication, NetworkAuthentication, POLICY, Parent, Rate, Reference, Server,
        TLSRoute, spec,
    },
    objects::{Objects, annotation, at, list, name_of, text, title},
    time::duration,
};

/// Every kind of the mesh and its routes that is used, and the version that is stored.
const KINDS: &[(&str, &str)] = &[
    ("Server", "policy.linkerd.io/v1beta3"),
    ("AuthorizationPolicy", "policy.linkerd.io/v1alpha1"),
    ("MeshTLSAuthentication", "policy.linkerd.io/v1alpha1"),
    ("NetworkAuthentication", "policy.linkerd.io/v1alpha1"),
    ("HTTPLocalRateLimitPolicy", "policy.linkerd.io/v1alpha1"),
    ("EgressNetwork", "policy.linkerd.io/v1alpha1"),
    ("GRPCRoute", "gateway.networking.k8s.io/v1"),
    ("TLSRoute", "gateway.networking.k8s.io/v1alpha2"),
];

const PROTOCOLS: &[&str] = &["unknown", "HTTP/1", "HTTP/2", "gRPC", "opaque", "TLS"];

const ACCESS: &[&str] = &[
    "deny",
    "audit",
    "all-authenticated",
    "all-unauthenticated",
    "cluster-authenticated",
    "cluster-unauthenticated",
];

const RETRIED: &[&str] = &[
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

/// Objects of the mesh have a known kind and version, and only fields that it has. A ServiceProfile switches off the breaker
/// and the annotations of its Service.
pub fn kinds(deployment: &Deployment) -> Vec<String> {
    let mut wrong = Vec::new();
    for object in mesh_objects(&deployment.objects) {
        let kind = (text(object, "kind"), text(object, "apiVersion"));
        if KINDS.contains(&kind) {
            let read = fields(object);
            wrong.extend(
                read.err()
                    .map(|error| format!("{}: {error}", title(object))),
            );
        } else {
            wrong.push(format!("{}: {} is not used", title(object), kind.1));
        }
    }
    wrong
}

/// Objects of the mesh and of its routes, except what an implementation of an ingress has.
fn mesh_objects(objects: &Objects) -> impl Iterator<Item = &Value> {
    objects.0.iter().filter(|object| {
        let group = text(object, "apiVersion")
            .split('/')
            .next()
            .unwrap_or_default();
        group.ends_with("linkerd.io") || (group == GATEWAY && text(object, "kind") != "Gateway")
    })
}

fn fields(object: &Value) -> Result<(), String> {
    match text(object, "kind") {
        "Server" => spec::<Server>(object).map(drop),
        "AuthorizationPolicy" => spec::<AuthorizationPolicy>(object).map(drop),
        "MeshTLSAuthentication" => spec::<MeshTLSAuthentication>(object).map(drop),
        "NetworkAuthentication" => spec::<NetworkAuthentication>(object).map(drop),
        "HTTPLocalRateLimitPolicy" => spec::<HTTPLocalRateLimitPolicy>(object).map(drop),
        "EgressNetwork" => spec::<EgressNetwork>(object).map(drop),
        "GRPCRoute" => spec::<GRPCRoute>(object).map(drop),
        _ => spec::<TLSRoute>(object).map(drop),
    }
}

/// A Server has a known protocol and access, selects pods that have its port, and no other Server selects the same port.
pub fn servers(deployment: &Deployment) -> Vec<String> {
    let (objects, mut wrong) = (&deployment.objects, Vec::new());
    let mut taken = BTreeSet::new();
    for object in objects.of("Server") {
        let Ok(server) = spec::<Server>(object) else {
            continue;
        };
        let mut report = |what: String| wrong.push(format!("{}: {what}", title(object)));
        for (value, known) in [
            (server.proxy_protocol, PROTOCOLS),
            (server.access_policy, ACCESS),
        ] {
            if let Some(value) = value.filter(|value| !known.contains(&&**value)) {
                report(format!("{value} is unknown"));
            }
        }
        let pods = objects.selected(at(object, "spec.podSelector.matchLabels"));
        let ports = pods
            .iter()
            .filter_map(|pod| Some((pod, pod.port(&server.port)?.1)));
        let ports: Vec<_> = ports.collect();
        if ports.is_empty() {
            report(format!("no pod has its port {}", server.port));
        }
        for (pod, port) in ports {
            if !taken.insert((title(pod.owner), port)) {
                report(format!("port {port} of {} has two", title(pod.owner)));
            }
        }
    }
    wrong
}

/// An AuthorizationPolicy is for a Server or a route that exists, and its requirements, which must all be met, can be.
pub fn authorizations(deployment: &Deployment) -> Vec<String> {
    let (objects, mut wrong) = (&deployment.objects, Vec::new());
    for object in objects.of("AuthorizationPolicy") {
        let Ok(policy) = spec::<AuthorizationPolicy>(object) else {
            continue;
        };
        let mut report = |what: String| wrong.push(format!("{}: {what}", title(object)));
        let targets = [("Server", POLICY), ("GRPCRoute", GATEWAY)];
        if !refers(objects, &policy.target_ref, &targets) {
            report(format!("{:?} is no target", policy.target_ref));
        }
        let required = &policy.required_authentication_refs;
        let sources = [
            ("MeshTLSAuthentication", POLICY),
            ("NetworkAuthentication", POLICY),
        ];
        for reference in required {
            if !refers(objects, reference, &sources) {
                report(format!("{reference:?} is no authentication"));
            }
        }
        let kinds: BTreeSet<&str> = required.iter().map(|one| &*one.kind).collect();
        if required.is_empty() || kinds.len() < required.len() {
            report("needs one of each kind at most, and one at least".to_owned());
        }
    }
    for object in objects.of("MeshTLSAuthentication") {
        let Ok(clients) = spec::<MeshTLSAuthentication>(object) else {
            continue;
        };
        let count = clients.identities.map_or(0, |all| all.len())
            + clients.identity_refs.map_or(0, |all| all.len());
        if count == 0 {
            wrong.push(format!("{}: has no identity", title(object)));
        }
    }
    wrong
}

/// Whether a reference has one of the kinds, and the object exists.
fn refers(objects: &Objects, reference: &Reference, kinds: &[(&str, &str)]) -> bool {
    let is_known = kinds
        .iter()
        .any(|(kind, group)| reference.kind == *kind && reference.group.as_deref() == Some(group));
    is_known && objects.named(&reference.kind, &reference.name).is_some()
}

/// Rates are positive, no part is more than the whole, and a Server has one policy.
pub fn rates(deployment: &Deployment) -> Vec<String> {
    let (objects, mut wrong) = (&deployment.objects, Vec::new());
    let mut limited = BTreeSet::new();
    for object in objects.of("HTTPLocalRateLimitPolicy") {
        let Ok(policy) = spec::<HTTPLocalRateLimitPolicy>(object) else {
            continue;
        };
        let mut report = |what: String| wrong.push(format!("{}: {what}", title(object)));
        if !refers(objects, &policy.target_ref, &[("Server", POLICY)]) {
            report(format!("{:?} is no Server", policy.target_ref));
        }
        if !limited.insert(policy.target_ref.name.clone()) {
            report("its Server has another one".to_owned());
        }
        let rate = |rate: &Option<Rate>| rate.as_ref().map(|rate| rate.requests_per_second);
        let overrides = policy.overrides.unwrap_or_default();
        let total = rate(&policy.total);
        let parts = rate(&policy.identity).into_iter();
        let parts = parts.chain(overrides.iter().map(|one| one.requests_per_second));
        for part in parts.chain(total) {
            if part <= 0 || total.is_some_and(|total| part > total) {
                report(format!("{part} is not in 1 to {total:?}"));
            }
        }
        for client in overrides.iter().flat_map(|one| &one.client_refs) {
            if client.kind != "ServiceAccount" {
                report(format!("{client:?} is no ServiceAccount"));
            }
        }
    }
    wrong
}

/// A route has parents and destinations that exist, with their ports, and matches that the mesh understands.
pub fn routes(deployment: &Deployment) -> Vec<String> {
    let (objects, mut wrong) = (&deployment.objects, Vec::new());
    for object in objects.of("GRPCRoute") {
        let Ok(route) = spec::<GRPCRoute>(object) else {
            continue;
        };
        let mut report = |what: String| wrong.push(format!("{}: {what}", title(object)));
        for parent in &route.parent_refs {
            if let Some(what) = parent_fault(objects, parent) {
                report(what);
            }
        }
        if route.parent_refs.is_empty() || route.rules.is_empty() || route.rules.len() > 16 {
            report("needs a parent, and 1 to 16 rules".to_owned());
        }
        for rule in &route.rules {
            let matches = rule.matches.as_deref().unwrap_or_default();
            if matches.len() > 8 {
                report(format!("{} matches in a rule", matches.len()));
            }
            let methods = matches.iter().filter_map(|one| one.method.as_ref());
            if methods
                .clone()
                .any(|method| method.r#type.as_deref() == Some("RegularExpression"))
            {
                report("regular expressions are not supported".to_owned());
            }
            let filters = rule.filters.iter().flatten();
            let unsupported = ["RequestMirror", "ExtensionRef"];
            for filter in filters.filter(|filter| unsupported.contains(&text(filter, "type"))) {
                report(format!("{} is not supported", text(filter, "type")));
            }
            for backend in &rule.backend_refs {
                if backend.kind.as_deref().unwrap_or("Service") == "Service"
                    && !has_port(objects, &backend.name, backend.port)
                {
                    report(format!(
                        "no Service {} with port {:?}",
                        backend.name, backend.port
                    ));
                }
            }
        }
    }
    wrong
}

fn parent_fault(objects: &Objects, parent: &Parent) -> Option<String> {
    let (kind, name) = (parent.kind.as_deref(), &parent.name);
    match (kind, parent.group.as_deref()) {
        (Some("Service"), Some("core" | "")) if has_port(objects, name, parent.port) => None,
        (Some("Service"), _) => Some(format!(
            "no Service {name} with port {:?}, of the group core",
            parent.port
        )),
        (Some("Server"), Some(POLICY)) => {
            let whole = parent.port.is_none()
                && parent.section_name.is_none()
                && parent.namespace.is_none();
            let there = objects.named("Server", name).is_some();
            (!whole || !there)
                .then(|| format!("needs a Server {name}, without port, section and namespace"))
        }
        // An ingress may be outside of the chart.
        (Some("Gateway") | None, Some(GATEWAY) | None) => None,
        _ => Some(format!("{parent:?} is no parent")),
    }
}

fn has_port(objects: &Objects, service: &str, port: Option<u64>) -> bool {
    let Some(service) = objects.named("Service", service) else {
        return false;
    };
    let mut ports = list(service, "spec.ports").iter();
    ports.any(|one| port.is_some() && at(one, "port").as_u64() == port)
}

/// Annotations are texts that are not empty. The mesh ignores a wrong value silently on Services and pods.
pub fn annotations(deployment: &Deployment) -> Vec<String> {
    let mut wrong = Vec::new();
    let pods = deployment.objects.pods();
    let metadata = deployment
        .objects
        .0
        .iter()
        .map(|object| (object, at(object, "metadata")));
    for (owner, metadata) in metadata.chain(pods.iter().map(|pod| (pod.owner, pod.metadata))) {
        for (name, value) in at(metadata, "annotations")
            .as_object()
            .into_iter()
            .flatten()
        {
            let fault = match value.as_str() {
                None | Some("") => Some("is no text".to_owned()),
                Some(value) => annotation_fault(name, value),
            };
            wrong.extend(fault.map(|fault| format!("{}: {name}: {fault}", title(owner))));
        }
    }
    wrong
}

fn annotation_fault(name: &str, value: &str) -> Option<String> {
    let (group, key) = name.split_once('/')?;
    let fine = match (group, key) {
        ("timeout.linkerd.io", _)
        | ("retry.linkerd.io", "timeout")
        | ("config.linkerd.io", "shutdown-grace-period") => duration(value).is_some(),
        ("retry.linkerd.io", "grpc") => value.split(',').all(|code| RETRIED.contains(&code)),
        ("retry.linkerd.io", "limit") => value.parse::<u8>().is_ok(),
        ("balancer.linkerd.io", "failure-accrual") => value == "consecutive",
        ("balancer.linkerd.io", key) if key.ends_with("-penalty") => {
            duration(value).is_some_and(|time| !time.is_zero())
        }
        ("balancer.linkerd.io", key) if key.ends_with("-jitter-ratio") => value
            .parse()
            .is_ok_and(|ratio: f64| (0.0..=100.0).contains(&ratio)),
        ("balancer.linkerd.io", key) if key.ends_with("-max-failures") => {
            value.parse::<u32>().is_ok_and(|most| most > 0)
        }
        ("balancer.linkerd.io" | "retry.linkerd.io", _) => false,
        ("config.linkerd.io", "default-inbound-policy") => ACCESS.contains(&value),
        _ => true,
    };
    (!fine).then(|| format!("{value:?} is not valid"))
}

/// The breaker of a Service has a shortest pause that is not longer than its longest.
pub fn breakers(deployment: &Deployment) -> Vec<String> {
    let prefix = "balancer.linkerd.io/failure-accrual-consecutive-";
    let pause = |service, which| {
        annotation(service, &format!("{prefix}{which}-penalty")).and_then(duration)
    };
    let services = deployment.objects.of("Service");
    services
        .filter(|service| {
            pause(service, "min")
                .zip(pause(service, "max"))
                .is_some_and(|(min, max)| min > max)
        })
        .map(|service| {
            format!(
                "Service {}: the shortest pause is the longest",
                name_of(service)
            )
        })
        .collect()
}
