//! Does the chart deploy the platform that the code needs?
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use contract::{
    Rule,
    deploy::{
        DEPLOY, DIGESTS, Deployment, NO_RETRIES,
        faults::Faults,
        objects::{at, title},
        platform::Platform,
        rendering::renderings,
    },
};
use serde_json::Value;

/// All renderings, read once.
static RENDERINGS: LazyLock<BTreeMap<String, Deployment>> = LazyLock::new(|| renderings().unwrap());

/// A rendering by name.
fn rendering(name: &str) -> &'static Deployment {
    RENDERINGS.get(name).unwrap()
}

/// What rules find in a rendering.
fn found(name: &str, deployment: &Deployment, rules: &[Rule<Deployment>]) -> Vec<String> {
    let found = rules.iter().flat_map(|(rule, check)| {
        let found = check(deployment).into_iter();
        found.map(move |wrong| format!("{name}, {rule}: {wrong}"))
    });
    found.collect()
}

/// Requirement: A-O16, A-O17, D-O4.
#[test]
fn every_rendering_keeps_every_rule() {
    for name in ["default", "ci-mesh", "prod", "prod-retries"] {
        assert!(RENDERINGS.contains_key(name), "{name}");
    }
    let mut wrong = Vec::new();
    for (name, deployment) in &*RENDERINGS {
        wrong.extend(found(name, deployment, DEPLOY));
        if name != "prod-retries" {
            wrong.extend(found(name, deployment, &[NO_RETRIES]));
        }
        if name.starts_with("prod") && name != "prod-canary" {
            wrong.extend(found(name, deployment, &[DIGESTS]));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn every_rule_finds_its_planted_faults() {
    let faults: Faults = serde_saphyr::from_str(include_str!("deploy_faults.yaml")).unwrap();
    let rules = [DEPLOY, &[NO_RETRIES, DIGESTS]].concat();
    let mut misses = Vec::new();
    let mut without: BTreeSet<&str> = rules.iter().map(|(rule, _)| *rule).collect();
    for (name, faults) in [("ci-mesh", faults.mesh), ("ci", faults.processes)] {
        let fine = rendering(name);
        for fault in faults {
            let (rule, check) = rules.iter().find(|(rule, _)| *rule == fault.rule).unwrap();
            let mut wrong = fine.clone();
            fault.plant(&mut wrong).unwrap();
            misses.extend(miss(rule, &check(fine), &check(&wrong), &fault.finds));
            without.remove(rule);
        }
    }
    assert_eq!(misses, [""; 0]);
    assert!(without.is_empty(), "no fault for {without:?}");
}

/// The rule, a change of what the code says, and what the rule must find.
type Change = (&'static str, fn(&mut Platform), &'static str);

#[test]
fn a_change_of_the_code_that_the_chart_lacks_is_found() {
    let fine = rendering("ci-mesh");
    let changes: &[Change] = &[
        (
            "entries in the chart",
            |it| it.contexts.extend(["boat".into()]),
            "boat: has no workload",
        ),
        (
            "classified rpcs",
            |it| it.rpcs[0].repeatable ^= true,
            "is in GRPCRoute berth-",
        ),
        (
            "classified rpcs",
            |it| it.rpcs[0].streaming = true,
            "a stream has no time limit",
        ),
        (
            "addresses of peers",
            |it| it.reads.extend([("room".into(), "view".into())]),
            "room: BERTH_LOGS names",
        ),
        (
            "identities",
            |it| it.calls.extend([("room".into(), "view".into())]),
            "room: its identity may not use port grpc of view",
        ),
    ];
    for (name, change, says) in changes {
        let (rule, check) = DEPLOY.iter().find(|(rule, _)| rule == name).unwrap();
        let mut wrong = fine.clone();
        change(&mut wrong.platform);
        let miss = miss(rule, &check(fine), &check(&wrong), says);
        assert_eq!(miss, None);
    }
}

/// Unless a rule finds what it must with a fault, and only with it: why not.
fn miss(rule: &str, before: &[String], after: &[String], says: &str) -> Option<String> {
    let has = |found: &[String]| found.iter().any(|wrong| wrong.contains(says));
    if has(before) {
        return Some(format!("{rule} finds {says} without the fault"));
    }
    (!has(after)).then(|| format!("{rule} finds {after:?}, not {says}"))
}

/// A change of one service's settings replaces the pods of that service only.
///
/// Requirement: D-O5.
#[test]
fn a_change_of_settings_changes_the_pods_that_use_them() {
    let [before, after] = ["ci", "ci-settings"].map(|name| pods(rendering(name)));
    let changed = before
        .iter()
        .filter(|(name, pod)| after.get(*name) != Some(pod));
    let changed: Vec<&str> = changed.map(|(name, _)| &**name).collect();
    assert_eq!(changed, ["Deployment berth-reservation"]);
}

/// The pods of workloads by the title of their owner.
fn pods(deployment: &Deployment) -> BTreeMap<String, Value> {
    let pods = deployment.objects.pods();
    let pods = pods.iter().filter(|pod| !pod.is_job());
    pods.map(|pod| (title(pod.owner), at(pod.owner, "spec.template").clone()))
        .collect()
}
