//! Can every context reach what it calls, and nothing more: by its addresses, by NetworkPolicies, and by its identity in the
//! mesh?
use std::collections::BTreeSet;

use super::{
    Deployment,
    mesh_kinds::{AuthorizationPolicy, MeshTLSAuthentication, Server, spec},
    network,
    objects::{Pod, at, list, text, title},
    ports::hosts,
};

/// The ports of a pod of a context, by name.
const PORTS: &[(&str, &str)] = &[("grpc", "BERTH_PEERS"), ("admin", "BERTH_LOGS")];

/// Who uses a port of whom.
fn uses<'d>(deployment: &'d Deployment, port: &str) -> &'d BTreeSet<(String, String)> {
    match port {
        "grpc" => &deployment.platform.calls,
        _ => &deployment.platform.reads,
    }
}

/// A context has the addresses of the contexts that it calls and whose logs it reads, and no others.
pub fn addresses(deployment: &Deployment) -> Vec<String> {
    let mut wrong = Vec::new();
    for (context, pod) in deployment.pods_of_contexts() {
        let settings = deployment.settings(&pod);
        for (port, variable) in PORTS {
            let entries = settings
                .get(*variable)
                .map_or("", String::as_str)
                .split(',');
            let named = entries.filter_map(|entry| entry.split_once('='));
            let named: BTreeSet<(&str, &str)> = named.collect();
            let expected = uses(deployment, port).iter();
            let expected = expected.filter(|(caller, _)| caller == context);
            let expected: BTreeSet<&str> = expected.map(|(_, callee)| &**callee).collect();
            let callees: BTreeSet<&str> = named.iter().map(|(callee, _)| *callee).collect();
            if callees != expected {
                wrong.push(format!(
                    "{context}: {variable} names {callees:?}, not {expected:?}"
                ));
            }
            for (callee, address) in named {
                let to = deployment.services_of(callee);
                let leads = hosts(address).iter().any(|(host, _)| to.contains(host));
                if !leads {
                    wrong.push(format!("{context}: {address} is no Service of {callee}"));
                }
            }
        }
    }
    wrong
}

/// NetworkPolicies allow every call, and no context to call another one that is closed to callers from outside.
pub fn networks(deployment: &Deployment) -> Vec<String> {
    let (objects, mut wrong) = (&deployment.objects, Vec::new());
    let pods = deployment.pods_of_contexts();
    for (caller, from) in &pods {
        for (callee, to) in pods.iter().filter(|(callee, _)| callee != caller) {
            for (port, _) in PORTS {
                let Some((_, number)) = to.port(&(*port).into()) else {
                    continue;
                };
                let pair = ((*caller).to_owned(), (*callee).to_owned());
                let used = uses(deployment, port).contains(&pair);
                let allowed = network::allows(objects, from, to, number);
                if used && !allowed {
                    wrong.push(format!(
                        "{caller}: may not connect to port {port} of {callee}"
                    ));
                }
                // In the mesh all ports are behind that of the proxy, and identities decide.
                let is_hidden = from.is_meshed() || network::is_open(objects, to, number);
                if allowed && !used && !is_hidden && deployment.has_network_policies() {
                    wrong.push(format!("{caller}: may connect to port {port} of {callee}"));
                }
            }
        }
        for server in objects
            .pods()
            .iter()
            .filter(|pod| deployment.is_server(pod))
        {
            let mut ports = server
                .containers()
                .flat_map(|container| list(container, "ports"));
            let main = ports.find_map(|port| at(port, "containerPort").as_u64());
            if main.is_some_and(|port| !network::allows(objects, from, server, port)) {
                wrong.push(format!(
                    "{caller}: may not connect to {}",
                    title(server.owner)
                ));
            }
        }
    }
    wrong
}

/// In the mesh a context admits its callers to its port, and no other context; and to its log everybody who reads it.
pub fn identities(deployment: &Deployment) -> Vec<String> {
    let mut wrong = Vec::new();
    if !deployment.is_meshed() {
        return wrong;
    }
    let pods = deployment.pods_of_contexts();
    for (callee, to) in &pods {
        // An admin port may be open to everybody: the cluster and Prometheus have no identity.
        let ports = PORTS.iter().map(|(port, _)| *port);
        for port in ports.filter(|port| !is_open(deployment, to, port)) {
            let admitted = admitted(deployment, to, port);
            for (caller, from) in pods.iter().filter(|(caller, _)| caller != callee) {
                let pair = ((*caller).to_owned(), (*callee).to_owned());
                let allowed = admitted.contains(text(from.spec, "serviceAccountName"));
                if allowed != uses(deployment, port).contains(&pair) {
                    let may = if allowed { "may" } else { "may not" };
                    wrong.push(format!(
                        "{caller}: its identity {may} use port {port} of {callee}"
                    ));
                }
            }
        }
    }
    wrong
}

/// Whether the Server of a port lets everybody in.
fn is_open(deployment: &Deployment, pod: &Pod<'_>, port: &str) -> bool {
    deployment.objects.of("Server").any(|object| {
        let server = spec::<Server>(object);
        pod.has_labels(at(object, "spec.podSelector.matchLabels"))
            && server.is_ok_and(|server| {
                server.port == *port
                    && server.access_policy.as_deref() == Some("all-unauthenticated")
            })
    })
}

/// The ServiceAccounts that may use a port of a pod, by the policies of its Server.
fn admitted(deployment: &Deployment, pod: &Pod<'_>, port: &str) -> BTreeSet<String> {
    let objects = &deployment.objects;
    let is_of = |name: &str| {
        let server = objects.named("Server", name);
        server.is_some_and(|object| {
            let server = spec::<Server>(object);
            server.is_ok_and(|server| server.port == *port)
                && pod.has_labels(at(object, "spec.podSelector.matchLabels"))
        })
    };
    let policies = objects
        .of("AuthorizationPolicy")
        .filter_map(|policy| spec::<AuthorizationPolicy>(policy).ok());
    let policies = policies
        .filter(|policy| policy.target_ref.kind == "Server" && is_of(&policy.target_ref.name));
    let required = policies.flat_map(|policy| policy.required_authentication_refs);
    let clients = required
        .filter_map(|one| spec::<MeshTLSAuthentication>(objects.named(&one.kind, &one.name)?).ok());
    let accounts = clients.flat_map(|clients| clients.identity_refs.unwrap_or_default());
    accounts
        .filter(|one| one.kind == "ServiceAccount")
        .map(|one| one.name)
        .collect()
}

/// The public port of a context is closed to everybody whom no policy admits.
pub fn closed(deployment: &Deployment) -> Vec<String> {
    let mut wrong = Vec::new();
    let contexts = deployment.pods_of_contexts();
    for object in deployment.objects.of("Server") {
        let Ok(server) = spec::<Server>(object) else {
            continue;
        };
        let selector = at(object, "spec.podSelector.matchLabels");
        let public =
            contexts.iter().any(|(_, pod)| pod.has_labels(selector)) && server.port == "grpc";
        if public && server.access_policy.as_deref() != Some("deny") {
            wrong.push(format!(
                "{}: its access is {:?}",
                title(object),
                server.access_policy
            ));
        }
    }
    wrong
}
