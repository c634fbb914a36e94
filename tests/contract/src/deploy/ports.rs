//! Are ports the same in Services, pods and addresses, and does the mesh understand them?
use serde_json::Value;

use super::{
    Deployment,
    objects::{Pod, annotation, at, list, name_of, text, title},
};

/// What the mesh understands. Any other `appProtocol`, `grpc` included, makes a port opaque.
const PROTOCOLS: &[&str] = &[
    "http",
    "kubernetes.io/h2c",
    "linkerd.io/opaque",
    "linkerd.io/tcp",
];

/// Ports of servers that speak first, or whose protocol the mesh does not know: NATS and PostgreSQL.
const OPAQUE: &[u64] = &[4222, 5432, 6222];

/// The annotation that names opaque ports; it replaces the list of the mesh.
const OPAQUE_PORTS: &str = "config.linkerd.io/opaque-ports";

/// Every port of a Service leads to a port of the pods that it selects, and has a protocol that the mesh knows.
pub fn services(deployment: &Deployment) -> Vec<String> {
    let (objects, mut wrong) = (&deployment.objects, Vec::new());
    for service in objects.of("Service") {
        let mut report = |what: String| wrong.push(format!("{}: {what}", title(service)));
        let pods = objects.selected(at(service, "spec.selector"));
        if pods.is_empty() {
            report("selects no pods".to_owned());
        }
        for port in list(service, "spec.ports") {
            let target = port.get("targetPort").unwrap_or_else(|| at(port, "port"));
            for pod in pods.iter().filter(|pod| pod.port(target).is_none()) {
                report(format!("{} has no port {target}", title(pod.owner)));
            }
            let protocol = text(port, "appProtocol");
            if !PROTOCOLS.contains(&protocol) {
                report(format!(
                    "port {} has the protocol {protocol:?}",
                    at(port, "port")
                ));
            }
            // Requests are balanced, and routes and breakers apply, only through an address of the Service.
            if protocol == "kubernetes.io/h2c" && text(service, "spec.clusterIP") == "None" {
                report("is headless".to_owned());
            }
        }
    }
    wrong
}

/// Ports of NATS and PostgreSQL are opaque, for callers at the Service and for those at the pods.
pub fn opaque(deployment: &Deployment) -> Vec<String> {
    let (objects, mut wrong) = (&deployment.objects, Vec::new());
    for service in objects.of("Service") {
        for port in list(service, "spec.ports") {
            let number = at(port, "port").as_u64().unwrap_or_default();
            if OPAQUE.contains(&number) && text(port, "appProtocol") != "linkerd.io/opaque" {
                wrong.push(format!("{}: port {number} is not opaque", title(service)));
            }
        }
        let pods = objects.selected(at(service, "spec.selector"));
        if pods.iter().any(Pod::is_meshed) {
            let numbers = list(service, "spec.ports")
                .iter()
                .map(|port| at(port, "port"));
            wrong.extend(not_opaque(
                service,
                annotation(service, OPAQUE_PORTS),
                numbers,
            ));
        }
    }
    for pod in objects.pods().iter().filter(|pod| pod.is_meshed()) {
        let ports = pod
            .containers()
            .flat_map(|container| list(container, "ports"));
        let ports = ports.map(|port| at(port, "containerPort"));
        let named = pod.annotation(OPAQUE_PORTS);
        wrong.extend(not_opaque(pod.owner, named, ports));
    }
    wrong
}

/// The ports that should be named as opaque and are not.
fn not_opaque<'v>(
    owner: &Value,
    named: Option<&str>,
    ports: impl Iterator<Item = &'v Value>,
) -> Vec<String> {
    let named: Vec<&str> = named.unwrap_or_default().split(',').collect();
    let missing = ports
        .filter_map(Value::as_u64)
        .filter(|port| OPAQUE.contains(port));
    missing
        .filter(|port| !named.contains(&&*port.to_string()))
        .map(|port| format!("{}: {OPAQUE_PORTS} lacks {port}", title(owner)))
        .collect()
}

/// An address of a Service of the chart, in a variable, has a port that the Service defines. The mesh refuses others.
pub fn addresses(deployment: &Deployment) -> Vec<String> {
    let mut wrong = Vec::new();
    for pod in deployment.objects.pods() {
        for (name, value) in deployment.settings(&pod) {
            for (host, port) in hosts(&value) {
                let Some(service) = deployment.objects.named("Service", host) else {
                    continue;
                };
                let mut ports = list(service, "spec.ports").iter();
                if !ports.any(|one| at(one, "port").as_u64() == Some(port)) {
                    wrong.push(format!(
                        "{}: {name} names port {port} of Service {}",
                        title(pod.owner),
                        name_of(service)
                    ));
                }
            }
        }
    }
    wrong
}

/// The hosts and ports of URLs in a text.
pub fn hosts(text: &str) -> Vec<(&str, u64)> {
    let urls = text.split("://").skip(1);
    let hosts = urls.filter_map(|rest| {
        let authority = rest.split(['/', ',', '?']).next()?;
        let (_, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (host, port) = host.rsplit_once(':')?;
        let host = host.split('.').next()?;
        Some((host, port.parse().ok()?))
    });
    hosts.collect()
}
