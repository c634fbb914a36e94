//! Do the workflows run what exists, with pinned actions and limits?
use std::path::Path;

use contract::{
    sources::read,
    workflows::{WORKFLOWS, Workflows},
};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The rule, words of a workflow and their replacement, and what the rule must find.
const FAULTS: &[(&str, &str, &str, &str)] = &[
    ("commands", "cargo xtask test", "cargo xtask tets", "tets"),
    ("commands", "cargo xtask test", "cargo test", "cargo test"),
    (
        "commands",
        "run: cargo xtask test",
        "run: |\n          cargo xtask test\n          ls",
        "ls",
    ),
    ("commands", "cargo xtask test", ".ci/runs", ".ci/runs"),
    ("commands", "cargo xtask test", ".ci/e2e boats", "boats"),
    (
        "pinned",
        "@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1",
        "@v7",
        "checkout@v7",
    ),
    ("pinned", " # v7.0.1", "", "checkout@"),
    (
        "bounded",
        "contents: read",
        "contents: write",
        "may do more",
    ),
    ("bounded", "timeout-minutes: 60", "env: {}", "time limit"),
    ("bounded", "concurrency:", "env:", "no concurrency"),
];

fn workflows() -> Workflows {
    Workflows::read(Path::new(ROOT), &read().unwrap()).unwrap()
}

#[test]
fn the_workflows_keep_every_rule() {
    let workflows = workflows();
    let names: Vec<&str> = workflows.files.keys().map(String::as_str).collect();
    let expected = ["chart", "ci", "e2e", "release", "scorecard"];
    assert_eq!(
        names,
        expected.map(|name| format!(".github/workflows/{name}.yml"))
    );
    for (rule, check) in WORKFLOWS {
        assert_eq!(check(&workflows), [""; 0], "rule {rule}");
    }
}

#[test]
fn every_rule_finds_its_planted_faults() {
    let all = workflows();
    let ci = all.files.get(".github/workflows/ci.yml").unwrap();
    for (rule, check) in WORKFLOWS {
        let faults: Vec<_> = FAULTS.iter().filter(|fault| fault.0 == *rule).collect();
        assert!(!faults.is_empty(), "no fault for rule {rule}");
        for (_, words, fault, says) in faults {
            assert!(ci.contains(words), "the workflow has no {words}");
            let mut wrong = all.clone();
            let file = wrong.files.get_mut(".github/workflows/ci.yml").unwrap();
            *file = ci.replace(words, fault);
            let found = check(&wrong);
            assert!(
                found.iter().any(|wrong| wrong.contains(says)),
                "rule {rule} finds {found:?} in {fault}, not {says}"
            );
        }
    }
}
