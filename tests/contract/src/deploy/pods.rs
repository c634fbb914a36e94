//! Are pods restricted, replaceable, and the same each time?
use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    Deployment,
    objects::{Pod, at, list, text, title},
};

/// Volumes of the profile `restricted` of Kubernetes' pod security standards.
const VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// A pod keeps the profile `restricted`, has a read-only file system, and no token for the API server.
pub fn restricted(deployment: &Deployment) -> Vec<String> {
    each_pod(deployment, |pod, report| {
        for host in ["hostNetwork", "hostPID", "hostIPC"] {
            if at(pod.spec, host) == &Value::Bool(true) {
                report(format!("has {host}"));
            }
        }
        for volume in list(pod.spec, "volumes") {
            let kinds = volume.as_object().into_iter().flatten();
            for (kind, _) in
                kinds.filter(|(kind, _)| *kind != "name" && !VOLUMES.contains(&&***kind))
            {
                report(format!("has a volume of kind {kind}"));
            }
        }
        if at(pod.spec, "automountServiceAccountToken") != &Value::Bool(false) {
            report("has a token for the API server".to_owned());
        }
        for container in pod.containers() {
            for fault in container_faults(pod, container) {
                report(format!("container {}: {fault}", text(container, "name")));
            }
        }
    })
}

fn container_faults(pod: &Pod<'_>, container: &Value) -> Vec<String> {
    let own = |path: &str| at(at(container, "securityContext"), path);
    // What a container does not say, its pod says.
    let of = |path: &str| {
        let own = own(path);
        if own.is_null() {
            at(at(pod.spec, "securityContext"), path)
        } else {
            own
        }
    };
    let added = list(container, "securityContext.capabilities.add").iter();
    let mut profile = [Some("RuntimeDefault"), Some("Localhost")].into_iter();
    let conditions = [
        (
            "may run as root",
            of("runAsNonRoot") == &Value::Bool(true) && of("runAsUser").as_u64() != Some(0),
        ),
        (
            "has no seccomp profile",
            profile.any(|one| one == of("seccompProfile.type").as_str()),
        ),
        (
            "may gain privileges",
            own("allowPrivilegeEscalation") == &Value::Bool(false),
        ),
        ("is privileged", own("privileged") != &Value::Bool(true)),
        (
            "keeps capabilities",
            list(own("capabilities"), "drop").contains(&"ALL".into()),
        ),
        (
            "adds capabilities",
            added.into_iter().all(|one| one == "NET_BIND_SERVICE"),
        ),
        (
            "writes to its file system",
            own("readOnlyRootFilesystem") == &Value::Bool(true),
        ),
        (
            "has a port of its host",
            list(container, "ports")
                .iter()
                .all(|port| port.get("hostPort").is_none()),
        ),
    ];
    let broken = conditions.into_iter().filter(|(_, holds)| !holds);
    broken.map(|(what, _)| what.to_owned()).collect()
}

/// An image has a digest or a tag, and the tag is not `latest`.
pub fn images(deployment: &Deployment) -> Vec<String> {
    each_image(deployment, |image| {
        let name = image.rsplit('/').next().unwrap_or(image);
        let tag = name.split_once(':').map(|(_, tag)| tag);
        name.contains('@') || tag.is_some_and(|tag| !tag.is_empty() && tag != "latest")
    })
}

/// In production an image has a digest.
pub fn digests(deployment: &Deployment) -> Vec<String> {
    each_image(deployment, |image| {
        let digest = image.split_once("@sha256:").map(|(_, digest)| digest);
        digest.is_some_and(|digest| {
            digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    })
}

fn each_image(deployment: &Deployment, is_fine: impl Fn(&str) -> bool) -> Vec<String> {
    each_pod(deployment, |pod, report| {
        let images = pod.containers().map(|container| text(container, "image"));
        for image in images.filter(|image| !is_fine(image)) {
            report(format!("its image is {image:?}"));
        }
    })
}

/// A variable is defined once. Helm 4 applies on the server, which refuses two.
pub fn variables_once(deployment: &Deployment) -> Vec<String> {
    each_pod(deployment, |pod, report| {
        for container in pod.containers() {
            let mut names = BTreeSet::new();
            let env = list(container, "env").iter().map(|one| text(one, "name"));
            for name in env.filter(|name| !names.insert((*name).to_owned())) {
                report(format!("{name} is defined twice"));
            }
        }
    })
}

/// An autoscaler scales a workload of the chart, by a container that it has, and alone decides how many replicas there are.
pub fn scaled(deployment: &Deployment) -> Vec<String> {
    let (objects, mut wrong) = (&deployment.objects, Vec::new());
    for scaler in objects.of("HorizontalPodAutoscaler") {
        let mut report = |what: String| wrong.push(format!("{}: {what}", title(scaler)));
        let target = at(scaler, "spec.scaleTargetRef");
        let Some(workload) = objects.named(text(target, "kind"), text(target, "name")) else {
            report(format!("scales {target}, which does not exist"));
            continue;
        };
        if !at(workload, "spec.replicas").is_null() {
            report("its workload sets replicas, too".to_owned());
        }
        let pods = objects.pods();
        let containers = pods
            .iter()
            .filter(|pod| title(pod.owner) == title(workload));
        let containers: Vec<&str> = containers
            .flat_map(Pod::containers)
            .map(|one| text(one, "name"))
            .collect();
        for metric in list(scaler, "spec.metrics") {
            // The CPU of the whole pod would include that of the mesh's proxy.
            if !containers.contains(&text(metric, "containerResource.container")) {
                report(format!("measures {metric}"));
            }
        }
        let (least, most) = (
            at(scaler, "spec.minReplicas"),
            at(scaler, "spec.maxReplicas"),
        );
        if least.as_u64().unwrap_or(1) > most.as_u64().unwrap_or(0) {
            report(format!("has {least} to {most} replicas"));
        }
    }
    wrong
}

fn each_pod(
    deployment: &Deployment,
    check: impl Fn(&Pod<'_>, &mut dyn FnMut(String)),
) -> Vec<String> {
    let mut wrong = Vec::new();
    for pod in deployment.objects.pods() {
        check(&pod, &mut |what| {
            wrong.push(format!("{}: {what}", title(pod.owner)));
        });
    }
    wrong
}
