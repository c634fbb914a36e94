//! What the NetworkPolicies of a rendering allow.
use serde_json::Value;

use super::objects::{Objects, Pod, at, list, text};

/// The port on which the proxy of the mesh receives the requests of other proxies.
pub const PROXY: u64 = 4143;

/// Whether a pod may connect to a port of another one: the policies of both must allow it.
pub fn allows(objects: &Objects, from: &Pod<'_>, to: &Pod<'_>, port: u64) -> bool {
    let received = if from.is_meshed() && to.is_meshed() {
        PROXY
    } else {
        port
    };
    one_way(objects, "Ingress", to, from, received, to)
        && one_way(objects, "Egress", from, to, received, to)
}

/// Whether a pod may connect to a port from anywhere.
pub fn is_open(objects: &Objects, to: &Pod<'_>, port: u64) -> bool {
    let policies = policies(objects, "Ingress", to);
    let mut rules = policies
        .iter()
        .flat_map(|policy| list(policy, "spec.ingress"));
    policies.is_empty()
        || rules.any(|rule| list(rule, "from").is_empty() && has_port(rule, port, to))
}

/// Whether the policies of a pod in one direction allow the other pod. Without a policy everything is allowed.
fn one_way(
    objects: &Objects,
    direction: &str,
    of: &Pod<'_>,
    other: &Pod<'_>,
    port: u64,
    to: &Pod<'_>,
) -> bool {
    let policies = policies(objects, direction, of);
    let (rules, sides) = match direction {
        "Ingress" => ("spec.ingress", "from"),
        _ => ("spec.egress", "to"),
    };
    let mut all = policies.iter().flat_map(|policy| list(policy, rules));
    policies.is_empty()
        || all.any(|rule| {
            let peers = list(rule, sides);
            let is_peer = |peer: &Value| {
                peer.get("namespaceSelector").is_none()
                    && other.has_labels(at(peer, "podSelector.matchLabels"))
            };
            (peers.is_empty() || peers.iter().any(is_peer)) && has_port(rule, port, to)
        })
}

fn policies<'o>(objects: &'o Objects, direction: &str, pod: &Pod<'_>) -> Vec<&'o Value> {
    let selects = |policy: &&Value| {
        let labels = at(policy, "spec.podSelector.matchLabels");
        let is_empty = labels.as_object().is_none_or(serde_json::Map::is_empty);
        is_empty || pod.has_labels(labels)
    };
    let directed = |policy: &&Value| {
        let mut types = list(policy, "spec.policyTypes").iter();
        types.any(|one| one.as_str() == Some(direction))
    };
    objects
        .of("NetworkPolicy")
        .filter(directed)
        .filter(selects)
        .collect()
}

fn has_port(rule: &Value, wanted: u64, to: &Pod<'_>) -> bool {
    let ports = list(rule, "ports");
    let number = |port: &Value| {
        let port = at(port, "port");
        port.as_u64().or_else(|| Some(to.port(port)?.1))
    };
    let is_tcp = |port: &&Value| matches!(text(port, "protocol"), "" | "TCP");
    ports.is_empty()
        || ports
            .iter()
            .filter(is_tcp)
            .any(|port| number(port) == Some(wanted))
}
