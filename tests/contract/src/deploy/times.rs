//! Do the times of a stop, a request and a probe fit together?
use std::time::Duration;

use super::{
    Deployment,
    objects::{at, list, title},
    time::duration,
};

/// The longest time in which a process that hangs is replaced.
const REPLACED: u64 = 45;

/// Kubernetes waits longer than a stop may take, and the mesh's proxy at least as long as the process.
pub fn stops(deployment: &Deployment) -> Vec<String> {
    let mut wrong = Vec::new();
    for (context, pod) in deployment.pods_of_contexts() {
        let settings = deployment.settings(&pod);
        let time = |name: &str| {
            let given = settings
                .get(name)
                .or_else(|| deployment.platform.defaults.get(name));
            given.and_then(|value| duration(value)).unwrap_or_default()
        };
        let (drain, grace) = (time("BERTH_DRAIN_DELAY"), time("BERTH_GRACE"));
        let killed = Duration::from_secs(
            at(pod.spec, "terminationGracePeriodSeconds")
                .as_u64()
                .unwrap_or(30),
        );
        if drain + grace >= killed {
            wrong.push(format!(
                "{context}: is killed after {killed:?}, and may need {drain:?} and {grace:?}"
            ));
        }
        if drain.is_zero() {
            wrong.push(format!(
                "{context}: closes its port before balancers know of the stop"
            ));
        }
        if time("BERTH_REQUEST_TIMEOUT") > grace {
            wrong.push(format!("{context}: cuts off requests after {grace:?}"));
        }
        let proxy = pod.annotation("config.linkerd.io/shutdown-grace-period");
        let proxy = proxy.and_then(duration);
        // The proxy of a native sidecar stops after the process.
        if pod.is_meshed() && proxy.is_none_or(|proxy| proxy >= killed) {
            wrong.push(format!("{context}: its proxy stops after {proxy:?}"));
        }
    }
    wrong
}

/// A process that hangs is replaced in time: found by its probe, and killed when it does not stop.
pub fn hangs(deployment: &Deployment) -> Vec<String> {
    let pods = deployment.pods_of_contexts();
    let slow = pods.iter().filter_map(|(context, pod)| {
        let longest = list(pod.spec, "containers").iter().map(|container| {
            let probe = at(container, "livenessProbe");
            let of = |name: &str, default| at(probe, name).as_u64().unwrap_or(default);
            let killed = at(pod.spec, "terminationGracePeriodSeconds")
                .as_u64()
                .unwrap_or(30);
            let found =
                of("periodSeconds", 10) * of("failureThreshold", 3) + of("timeoutSeconds", 1);
            found + of("terminationGracePeriodSeconds", killed)
        });
        let longest = longest.max().unwrap_or_default();
        (longest > REPLACED)
            .then(|| format!("{context}: is replaced after {longest} s, if it hangs"))
    });
    slow.collect()
}

/// A job has a deadline.
pub fn jobs(deployment: &Deployment) -> Vec<String> {
    let pods = deployment.objects.pods();
    let endless = pods.iter().filter(|pod| pod.is_job()).filter(|pod| {
        let places = ["spec", "spec.jobTemplate.spec"];
        let mut deadlines = places
            .iter()
            .map(|place| at(at(pod.owner, place), "activeDeadlineSeconds"));
        !deadlines.any(|deadline| deadline.as_u64().is_some_and(|seconds| seconds > 0))
    });
    endless
        .map(|pod| format!("{}: may never end", title(pod.owner)))
        .collect()
}
