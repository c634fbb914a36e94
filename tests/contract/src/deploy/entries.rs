//! Has every context what it needs in the chart and in the mesh?
use serde_json::Value;

use super::{
    Deployment,
    mesh_kinds::{Server, spec},
    objects::{Pod, at, list, text, title},
};

/// The probes of a pod, and the names of the health service that they check.
const PROBES: &[(&str, &str)] = &[
    ("startupProbe", "liveness"),
    ("livenessProbe", "liveness"),
    ("readinessProbe", "readiness"),
];

/// Every context has a workload that runs its binary, with an identity of its own, and a Service.
pub fn in_chart(deployment: &Deployment) -> Vec<String> {
    let mut wrong = Vec::new();
    let pods = deployment.pods_of_contexts();
    for context in &deployment.platform.contexts {
        let own = pods.iter().filter(|(name, _)| name == context);
        if own.clone().count() == 0 {
            wrong.push(format!("{context}: has no workload"));
        }
        for (_, pod) in own {
            let container = list(pod.spec, "containers").first();
            let command = container.map(|container| list(container, "command"));
            if command != Some(&[Value::from(format!("/{context}"))]) {
                wrong.push(format!("{context}: runs {command:?}"));
            }
            let account = text(pod.spec, "serviceAccountName");
            let mut others = pods.iter().filter(|(name, _)| name != context);
            let is_shared = others.any(|(_, it)| text(it.spec, "serviceAccountName") == account);
            let accounts = &deployment.objects;
            if is_shared || accounts.named("ServiceAccount", account).is_none() {
                wrong.push(format!("{context}: has no ServiceAccount of its own"));
            }
        }
        if deployment.services_of(context).is_empty() {
            wrong.push(format!("{context}: has no Service"));
        }
    }
    wrong
}

/// In the mesh every context has a proxy, and a Server for each of its ports.
pub fn in_mesh(deployment: &Deployment) -> Vec<String> {
    let mut wrong = Vec::new();
    if !deployment.is_meshed() {
        return wrong;
    }
    for (context, pod) in deployment.pods_of_contexts() {
        if !pod.is_meshed() {
            wrong.push(format!("{context}: has no proxy"));
        }
        for port in ["grpc", "admin"] {
            let mut servers = deployment.objects.of("Server").filter(|object| {
                let server = spec::<Server>(object);
                pod.has_labels(at(object, "spec.podSelector.matchLabels"))
                    && server.is_ok_and(|server| server.port == *port)
            });
            if servers.next().is_none() {
                wrong.push(format!("{context}: has no Server for its port {port}"));
            }
        }
    }
    wrong
}

/// Every context is checked by its health service, on its admin port.
pub fn probes(deployment: &Deployment) -> Vec<String> {
    let mut wrong = Vec::new();
    for (context, pod) in deployment.pods_of_contexts() {
        let admin = pod.port(&"admin".into()).map(|(_, port)| port);
        for container in list(pod.spec, "containers") {
            for (probe, service) in PROBES {
                let grpc = at(at(container, probe), "grpc");
                if at(grpc, "port").as_u64() != admin || text(grpc, "service") != *service {
                    wrong.push(format!("{context}: its {probe} checks {grpc}"));
                }
            }
        }
    }
    wrong
}

/// A container of a job or test runs a subcommand that the binaries have.
pub fn subcommands(deployment: &Deployment) -> Vec<String> {
    let mut wrong = Vec::new();
    let known = &deployment.platform.subcommands;
    for pod in deployment.objects.pods().iter().filter(|pod| pod.is_job()) {
        for command in pod.containers().map(|container| words(container)) {
            let is_ours = command
                .first()
                .is_some_and(|binary| deployment.is_binary(binary));
            let second = command.get(1).copied().unwrap_or_default();
            if is_ours && !known.contains(second) {
                wrong.push(format!("{}: runs {command:?}", title(pod.owner)));
            }
        }
    }
    wrong
}

/// The words of the command of a container, with its arguments.
pub(super) fn words(container: &Value) -> Vec<&str> {
    let arguments = list(container, "args");
    let words = list(container, "command").iter().chain(arguments);
    words.filter_map(Value::as_str).collect()
}

/// An upgrade takes no replica away before a new one is ready.
pub fn replaced(deployment: &Deployment) -> Vec<String> {
    let is_context = |pod: &Pod<'_>| {
        deployment
            .pods_of_contexts()
            .iter()
            .any(|(_, own)| title(own.owner) == title(pod.owner))
    };
    let pods = deployment.objects.pods();
    let workloads = pods
        .iter()
        .filter(|pod| is_context(pod))
        .map(|pod| pod.owner);
    workloads
        .filter(|owner| text(owner, "kind") == "Deployment")
        .filter(|owner| at(owner, "spec.strategy.rollingUpdate.maxUnavailable").as_u64() != Some(0))
        .map(|owner| format!("{}: may stop a replica first", title(owner)))
        .collect()
}
