//! Every context has the same files, and its `lib.rs` says in the same rows what it does.
use std::collections::BTreeSet;

use crate::sources::Tree;

/// The contexts, by the files that make a crate below `services/` one of them.
pub const CONTEXTS: &[&str] = &[
    "member",
    "message",
    "payment",
    "reservation",
    "room",
    "view",
];

/// What every context has.
const REQUIRED: &[&str] = &["lib.rs", "main.rs", "domain/", "codec/", "grpc.rs"];

/// What a context may have.
const OPTIONAL: &[&str] = &[
    "policies.rs",
    "views.rs",
    "views/",
    "jobs.rs",
    "clients.rs",
    "settings.rs",
];

/// What one context has beside that, and why.
const OTHERS: &[(&str, &str)] = &[];

/// The rows of the table in the header of `lib.rs`, in this order.
const ROWS: &[&str] = &[
    "commands",
    "asks",
    "events out",
    "events in",
    "views",
    "jobs",
];

/// Every context has the files of a context and no others.
pub fn files(tree: &Tree) -> Vec<String> {
    let mut wrong = Vec::new();
    for context in present(tree) {
        let src = format!("services/{context}/src/");
        let has = |entry: &str| {
            let entry = format!("{src}{entry}");
            tree.keys()
                .any(|path| *path == entry || (entry.ends_with('/') && path.starts_with(&entry)))
        };
        for entry in REQUIRED.iter().filter(|entry| !has(entry)) {
            wrong.push(format!("{src}: lacks {entry}"));
        }
        for path in tree.keys().filter(|path| path.starts_with(&src)) {
            let name = path.strip_prefix(&src).unwrap_or_default();
            let is =
                |entry: &str| name == entry || (entry.ends_with('/') && name.starts_with(entry));
            let known = REQUIRED.iter().chain(OPTIONAL).any(|entry| is(entry));
            let other = OTHERS
                .iter()
                .filter_map(|(entry, _)| entry.strip_prefix(&src))
                .any(is);
            if !known && !other {
                wrong.push(format!("{path}: not a file of a context"));
            }
        }
    }
    wrong
}

/// The header of `lib.rs` has a table with the same rows in every context.
pub fn headers(tree: &Tree) -> Vec<String> {
    let mut wrong = Vec::new();
    for context in present(tree) {
        let path = format!("services/{context}/src/lib.rs");
        let Some(text) = tree.get(&path) else {
            continue;
        };
        let header = text.lines().map_while(|line| line.strip_prefix("//!"));
        let rows = header.filter_map(|line| {
            let name = line.trim().strip_prefix('|')?.split('|').next()?.trim();
            (!name.is_empty() && !name.starts_with('-')).then_some(name)
        });
        let rows: Vec<&str> = rows.collect();
        if rows != ROWS {
            wrong.push(format!("{path}: the rows of its header are {rows:?}"));
        }
    }
    wrong
}

/// Only `main.rs` of a context knows the crate `recovery`.
pub fn recovery(tree: &Tree) -> Vec<String> {
    let mut wrong = Vec::new();
    for context in present(tree) {
        let src = format!("services/{context}/src/");
        let library = |path: &&String| path.starts_with(&src) && !path.ends_with("/src/main.rs");
        for path in tree.keys().filter(library) {
            let code = crate::code::Code::of(tree.get(path).map_or("", |text| text));
            let mut lines = code.lines.iter();
            if let Some((line, _)) =
                lines.find(|(_, line)| crate::code::contains(line, "recovery::"))
            {
                wrong.push(format!("{path}:{line}: only main.rs uses recovery"));
            }
        }
    }
    wrong
}

/// The contexts of which a tree has files.
fn present(tree: &Tree) -> BTreeSet<&'static str> {
    let is_there = |context: &&str| {
        let src = format!("services/{context}/src/");
        tree.keys().any(|path| path.starts_with(&src))
    };
    CONTEXTS.iter().copied().filter(is_there).collect()
}
