//! Do the source files keep the rules?
use contract::{
    SOURCES,
    sources::{Tree, read},
    workspace::{Package, dependencies, packages},
};

const ROOM: &str = "services/room/src/grpc.rs";
const DOMAIN: &str = "services/room/src/domain.rs";
const TEST: &str = "services/room/tests/it/rpc.rs";

/// The rule, a file, its text, and what the rule must find.
const FAULTS: &[(&str, &str, &str, &str)] = &[
    (
        "pure domain",
        DOMAIN,
        "use std::fmt;\nuse tokio::sync;",
        ":2: tokio",
    ),
    (
        "pure domain",
        DOMAIN,
        "pub async fn decide() {}",
        ":1: async",
    ),
    ("pure domain", DOMAIN, "use berth::room::v1;", ":1: berth"),
    (
        "pure domain",
        "services/room/src/domain/review.rs",
        "fn id() -> Uuid { Uuid::now_v7() }",
        ":1: now_v7",
    ),
    (
        "pure domain",
        DOMAIN,
        "fn now() -> Timestamp { jiff::Timestamp::now() }",
        ":1: Timestamp::now",
    ),
    (
        "sql",
        ROOM,
        "const X: &str = \"SELECT id FROM room\";",
        ":1: SQL",
    ),
    (
        "sql",
        DOMAIN,
        "const X: &str = \"DELETE FROM room\";",
        ":1: SQL",
    ),
    (
        "sql",
        "services/chassis/src/relay.rs",
        "fn f() { run(\"UPDATE log SET seq = 1\") }",
        ":1: SQL",
    ),
    (
        "finished",
        TEST,
        "#[test]\n#[ignore = \"slow\"]\nfn f() {}",
        ":2: #[ignore",
    ),
    ("finished", ROOM, "fn f() { todo!() }", ":1: todo!"),
    (
        "finished",
        ROOM,
        "fn f() { unimplemented!() }",
        "unimplemented!",
    ),
    (
        "sleepless",
        TEST,
        "fn f() { std::thread::sleep(SECOND) }",
        ":1: sleep(",
    ),
    (
        "sleepless",
        ROOM,
        "#[cfg(test)]\nmod tests { async fn f() { sleep(SECOND).await } }",
        ":2: sleep(",
    ),
];

/// Files without a fault.
const FINE: &[(&str, &str)] = &[
    (
        DOMAIN,
        "//! Pure: no async, no SELECT, no tokio.\n/// Not SELECT either.\nfn operand() {}",
    ),
    (
        DOMAIN,
        "const X: &str = \"async with tokio\"; fn f(now: Timestamp) {}",
    ),
    (ROOM, "async fn wait() { sleep(SECOND).await }"),
    (
        "services/room/src/views.rs",
        "const X: &str = \"SELECT 1\";",
    ),
    (
        "services/chassis/src/store/sqlite.rs",
        "const X: &str = \"PRAGMA x\";",
    ),
    (TEST, "const X: &str = \"SELECT 1\"; // todo!()"),
    (
        "tests/bench/src/load.rs",
        "async fn pace() { sleep(SECOND).await }",
    ),
    (
        "tests/stories/src/world.rs",
        "async fn eventually() { sleep(SECOND).await }",
    ),
];

/// Requirement: A-C16, A-C17.
#[test]
fn the_sources_keep_every_rule() {
    let tree = read().unwrap();
    assert!(tree.contains_key("tests/contract/tests/it/rules.rs"));
    for (rule, check) in SOURCES {
        assert_eq!(check(&tree), [""; 0], "rule {rule}");
    }
}

#[test]
fn every_rule_finds_its_planted_faults() {
    let long = "\n".repeat(501);
    let faults = [FAULTS, &[("length", ROOM, &long, "501 lines")]].concat();
    for (rule, check) in SOURCES {
        assert!(
            faults.iter().any(|fault| fault.0 == *rule),
            "no fault for rule {rule}"
        );
        for (_, path, text, says) in faults.iter().filter(|fault| fault.0 == *rule) {
            let found = check(&tree(path, text));
            assert!(
                found.iter().any(|wrong| wrong.contains(says)),
                "rule {rule} finds {found:?} in {text}, not {says}"
            );
        }
    }
}

#[test]
fn rules_find_nothing_in_files_without_a_fault() {
    for (path, text) in FINE {
        for (rule, check) in SOURCES {
            assert_eq!(check(&tree(path, text)), [""; 0], "rule {rule}");
        }
    }
}

/// Requirement: A-C12, A-C25.
#[test]
fn crates_depend_only_on_what_is_allowed() {
    assert_eq!(dependencies(&packages().unwrap()), [""; 0]);
}

#[test]
fn a_dependency_that_is_not_allowed_is_found() {
    for (name, kind, dependency, fault) in [
        ("room", None, "berth", false),
        ("room", None, "chassis", false),
        ("room", None, "recovery", false),
        ("room", None, "payment", true),
        ("room", Some("dev"), "payment", true),
        ("room", None, "chassis-testing", true),
        ("room", Some("dev"), "chassis-testing", false),
        ("chassis", None, "berth", false),
        ("chassis", None, "room", true),
        ("chassis", None, "chassis-testing", true),
        ("chassis", Some("dev"), "chassis-testing", false),
        ("recovery", None, "chassis", false),
        ("recovery", None, "reservation", true),
        ("all", None, "room", false),
    ] {
        let package: Package = serde_json::from_value(serde_json::json!({
            "name": name,
            "manifest_path": format!("/berth/services/{name}/Cargo.toml"),
            "dependencies": [
                {"name": dependency, "kind": kind, "path": "/berth"},
                {"name": "serde", "kind": null, "path": null},
            ],
        }))
        .unwrap();
        let found = dependencies(&[package]);
        assert_eq!(!found.is_empty(), fault, "{name}: {found:?}");
    }
}

fn tree(path: &str, text: &str) -> Tree {
    Tree::from([(path.to_owned(), text.to_owned())])
}
