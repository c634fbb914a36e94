//! Rules for single source files.
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::code::{self, Code};

/// The Rust files of the repository: path from its root, and text.
pub type Tree = BTreeMap<String, String>;

/// Longest allowed file, in lines.
const LINES: usize = 500;

/// Words that a domain must not contain: concurrency, contracts, stores, logs, files, the clock, random numbers, new ids.
const IMPURE: &[&str] = &[
    "async",
    "await",
    "berth",
    "Instant::now",
    "now_v7",
    "new_v4",
    "prost",
    "rand",
    "rusqlite",
    "sqlx",
    "std::env",
    "std::fs",
    "SystemTime",
    "Timestamp::now",
    "tokio",
    "tonic",
    "tracing",
    "Zoned::now",
];

/// Words that only SQL contains; SQL is written in capitals here.
const SQL: &[&str] = &[
    "ALTER TABLE ",
    "CREATE ",
    "DELETE FROM ",
    "DROP TABLE ",
    "INSERT INTO ",
    "PRAGMA ",
    "SELECT ",
    "UPDATE ",
];

/// The sources of the repository.
pub fn read() -> Result<Tree> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(2).context("no root")?;
    let mut tree = Tree::new();
    let mut open: Vec<PathBuf> = ["build.rs", "proto", "services", "tests", "xtask"]
        .map(|entry| root.join(entry))
        .into();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(path)? {
                open.push(entry?.path());
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root)?.display().to_string();
            tree.insert(name, fs::read_to_string(path)?);
        }
    }
    Ok(tree)
}

/// The domain of a context is pure.
pub fn pure_domain(tree: &Tree) -> Vec<String> {
    let of_context = |path: &str| is_at(path, "domain") && !path.starts_with("services/chassis/");
    let domains = tree.iter().filter(|(path, _)| of_context(path));
    domains
        .flat_map(|(path, text)| find(path, &Code::of(text), IMPURE))
        .collect()
}

/// SQL is only in the store of the chassis and in the views of a context.
pub fn sql(tree: &Tree) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in tree {
        let code = path.starts_with("services/") && path.contains("/src/");
        // Test support creates scratch schemas.
        let store = path.starts_with("services/chassis/src/store")
            || path.starts_with("services/chassis-testing/");
        if !code || store || is_at(path, "views") {
            continue;
        }
        for (line, text) in Code::of(text).literals {
            if SQL.iter().any(|word| text.contains(word)) {
                wrong.push(format!("{path}:{line}: SQL {text}"));
            }
        }
    }
    wrong
}

/// No file is too long.
pub fn length(tree: &Tree) -> Vec<String> {
    tree.iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LINES)
        .map(|(path, lines)| format!("{path}: {lines} lines, {LINES} are allowed"))
        .collect()
}

/// Nothing is unfinished, and no test is skipped.
pub fn finished(tree: &Tree) -> Vec<String> {
    tree.iter()
        .flat_map(|(path, text)| {
            find(
                path,
                &Code::of(text),
                &["#[ignore", "todo!", "unimplemented!"],
            )
        })
        .collect()
}

/// Files that may sleep: a benchmark generates load by the clock, `eventually` and `until` poll for a condition.
const MAY_SLEEP: &[&str] = &[
    "tests/bench/",
    "tests/servers/src/wait.rs",
    "tests/stories/src/world.rs",
];

/// A test waits for a condition, never for time to pass.
pub fn sleepless(tree: &Tree) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in tree {
        if MAY_SLEEP.iter().any(|place| path.starts_with(place)) {
            continue;
        }
        let mut code = Code::of(text);
        if !path.starts_with("tests/") && !path.contains("/tests/") {
            let start = code.tests();
            code.lines.retain(|number, _| *number >= start);
        }
        wrong.extend(find(path, &code, &["sleep("]));
    }
    wrong
}

/// Whether a path is `services/<context>/src/<module>.rs` or in the directory of that module.
fn is_at(path: &str, module: &str) -> bool {
    let mut parts = path.split(['/', '.']);
    let (top, _, src) = (parts.next(), parts.next(), parts.next());
    (top, src, parts.next()) == (Some("services"), Some("src"), Some(module))
}

/// The lines that contain one of the words.
fn find(path: &str, code: &Code, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in &code.lines {
        for word in words.iter().filter(|word| code::contains(line, word)) {
            found.push(format!("{path}:{number}: {word}"));
        }
    }
    found
}
