//! Does the chart deploy the platform that the code needs?
use std::collections::{BTreeMap, BTreeSet};

use contract::{
    Rule,
    deploy::{
        DEPLOY, DIGESTS, Deployment, NO_RETRIES,
        faults::Faults,
        objects::{at, title},
        platform::Platform,
        rendering::{Values, chart, deploy},
    },
};
use serde_json::Value;

const IN_ONE: Values<'_> = Values {
    files: &[],
    set: &[],
};

const PROCESSES: Values<'_> = Values {
    files: &["values-dev.yaml"],
    set: &[],
};

const MESH: Values<'_> = Values {
    files: &["values-dev.yaml"],
    set: &[
        "mesh.enabled=true",
        r#"services.room.autoscaling={"minReplicas": 1, "maxReplicas": 10, "cpuPercent": 50}"#,
    ],
};

fn platform() -> Platform {
    Platform::read().unwrap()
}

/// Every values file of the chart, with and without the mesh.
fn renderings() -> Vec<(String, Deployment)> {
    let platform = platform();
    let files = std::fs::read_dir(chart()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let values = names.filter(|name| name.starts_with("values-") && name.ends_with(".yaml"));
    let values: Vec<String> = values.chain(["values.yaml".to_owned()]).collect();
    let mut renderings = Vec::new();
    for file in &values {
        for mesh in ["mesh.enabled=false", "mesh.enabled=true"] {
            let values = Values {
                files: &[file],
                set: &[mesh],
            };
            let deployment = deploy(values, &platform).unwrap();
            renderings.push((format!("{file}, {mesh}"), deployment));
        }
    }
    renderings
}

fn check(name: &str, deployment: &Deployment, rules: &[Rule<Deployment>]) {
    for (rule, check) in rules {
        assert_eq!(check(deployment), [""; 0], "{name}: rule {rule}");
    }
}

/// Requirement: A-O3, A-O16, A-O17, C-O1, D-O4.
#[test]
fn every_rendering_keeps_every_rule() {
    let renderings = renderings();
    assert!(renderings.len() >= 4);
    for (name, deployment) in renderings {
        check(&name, &deployment, DEPLOY);
        check(&name, &deployment, &[NO_RETRIES]);
        if name.starts_with("values-prod") {
            check(&name, &deployment, &[DIGESTS]);
        }
    }
}

#[test]
fn every_rule_finds_its_planted_faults() {
    let faults: Faults = serde_saphyr::from_str(include_str!("deploy_faults.yaml")).unwrap();
    let platform = platform();
    let rules = [DEPLOY, &[NO_RETRIES, DIGESTS]].concat();
    let mut without: BTreeSet<&str> = rules.iter().map(|(rule, _)| *rule).collect();
    for (values, faults) in [(MESH, faults.mesh), (PROCESSES, faults.processes)] {
        let fine = deploy(values, &platform).unwrap();
        for fault in faults {
            let (rule, check) = rules.iter().find(|(rule, _)| *rule == fault.rule).unwrap();
            let mut wrong = fine.clone();
            fault.plant(&mut wrong).unwrap();
            finds(rule, &check(&fine), &check(&wrong), &fault.finds);
            without.remove(rule);
        }
    }
    assert!(without.is_empty(), "no fault for {without:?}");
}

/// Facts of the code that the chart does not know.
#[test]
fn a_change_of_the_code_that_the_chart_lacks_is_found() {
    let fine = deploy(MESH, &platform()).unwrap();
    let changes: [(&str, fn(&mut Platform), &str); 5] = [
        (
            "entries in the chart",
            |it| it.contexts.extend(["boat".into()]),
            "boat: has 0 workloads",
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
            "room: its identity may not call view",
        ),
    ];
    for (name, change, says) in changes {
        let (rule, check) = DEPLOY.iter().find(|(rule, _)| *rule == name).unwrap();
        let mut changed = fine.clone();
        change(&mut changed.platform);
        finds(rule, &check(&fine), &check(&changed), says);
    }
}

/// With the fault, and only with it, the rule finds what it must.
fn finds(rule: &str, before: &[String], after: &[String], says: &str) {
    let has = |found: &[String]| found.iter().any(|wrong| wrong.contains(says));
    assert!(has(after), "rule {rule} finds {after:?}, not {says}");
    assert!(!has(before), "rule {rule} finds {says} without the fault");
}

#[test]
fn retries_of_the_mesh_are_only_for_rpcs_that_may_be_repeated() {
    let set: &[&str] = &["mesh.enabled=true", "mesh.retries=true"];
    let values = Values { set, ..PROCESSES };
    let deployment = deploy(values, &platform()).unwrap();
    check("retries", &deployment, DEPLOY);
    assert!(!NO_RETRIES.1(&deployment).is_empty());
}

/// A change of one service's settings replaces the pods of that service only.
///
/// Requirement: D-O5.
#[test]
fn a_change_of_settings_changes_the_pods_that_use_them() {
    let platform = platform();
    let set: &[&str] = &[r#"services.reservation.config={"MAX_RESERVATION_PER_PERSON": "3"}"#];
    let before = pods(&deploy(PROCESSES, &platform).unwrap());
    let after = pods(&deploy(Values { set, ..PROCESSES }, &platform).unwrap());
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

#[test]
fn all_contexts_in_one_process_are_recognised() {
    let deployment = deploy(IN_ONE, &platform()).unwrap();
    assert_eq!(deployment.platform.contexts.len(), 1);
}
