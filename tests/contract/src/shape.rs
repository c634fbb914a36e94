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
const REQUIRED: &[&str] = &[
    "lib.rs",
    "main.rs",
    "domain/",
    "domain/refusal.rs",
    "codec/",
    "grpc.rs",
];

/// What a context may have.
const OPTIONAL: &[&str] = &[
    "policies.rs",
    "views.rs",
    "views/",
    "jobs.rs",
    "clients.rs",
    "settings.rs",
];

/// What one context has in addition, and why.
const OTHERS: &[(&str, &str)] = &[
    (
        "services/member/src/authentication/",
        "Sign-in, tokens and signing keys are machinery and no rule of the domain.",
    ),
    (
        "services/member/src/startup.rs",
        "A signing key and the first ADMIN are created before the context is ready.",
    ),
    (
        "services/payment/src/provider/",
        "The payment provider is a port with two sides: the calls of this context, and the simulated provider.",
    ),
    (
        "services/reservation/src/tests/",
        "The tests of contention need private types and a store, which the pure domain must not use.",
    ),
    (
        "services/view/src/rebuild.rs",
        "A rebuild writes a second generation of the views beside the live one and replaces it.",
    ),
];

/// What one context lacks, and why.
const LACKING: &[(&str, &str)] = &[
    (
        "services/view/src/domain/",
        "The context decides nothing: it only shows the events of other contexts.",
    ),
    (
        "services/view/src/domain/refusal.rs",
        "What decides nothing refuses nothing.",
    ),
];

/// Where the text of a row of the header begins.
const COLUMN: usize = 12;

/// The rows of the text block in the header of `lib.rs`, in this order.
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
            tree.keys()
                .any(|path| path == entry || (entry.ends_with('/') && path.starts_with(entry)))
        };
        let lacks = |entry: &str| {
            let entry = format!("{src}{entry}");
            !has(&entry) && !LACKING.iter().any(|(lacking, _)| *lacking == entry)
        };
        for entry in REQUIRED.iter().filter(|entry| lacks(entry)) {
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

/// The header of `lib.rs` has a text block with the same rows in every context; no row is empty.
pub fn headers(tree: &Tree) -> Vec<String> {
    let mut wrong = Vec::new();
    for context in present(tree) {
        let path = format!("services/{context}/src/lib.rs");
        let Some(text) = tree.get(&path) else {
            continue;
        };
        let header = text.lines().map_while(|line| line.strip_prefix("//!"));
        let block = header
            .map(|line| line.strip_prefix(' ').unwrap_or(line))
            .skip_while(|line| *line != "```text")
            .skip(1)
            .take_while(|line| *line != "```");
        let rows = block.filter_map(row);
        let rows: Vec<&str> = rows.collect();
        if rows != ROWS {
            wrong.push(format!("{path}: the rows of its header are {rows:?}"));
        }
    }
    wrong
}

/// The name of a row, or nothing if the line continues a row. A line of another form has a name that no row has.
fn row(line: &str) -> Option<&str> {
    let (name, text) = line.split_at_checked(COLUMN).unwrap_or((line, ""));
    if !name.ends_with(' ') || text.is_empty() || text.starts_with(' ') {
        return Some("(no row)");
    }
    Some(name.trim_end()).filter(|name| !name.is_empty())
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

/// Aggregates that hold claims are named in `lib.rs`, so that their claims are made anew when their format changes.
pub fn claims(tree: &Tree) -> Vec<String> {
    let mut wrong = Vec::new();
    for context in present(tree) {
        let src = format!("services/{context}/src/");
        let lib = tree.get(&format!("{src}lib.rs"));
        let lib = lib.map_or("", |text| text);
        for (path, text) in tree.iter().filter(|(path, _)| path.starts_with(&src)) {
            for block in text.split("impl Aggregate for ").skip(1) {
                let block = block.split("\nimpl ").next().unwrap_or_default();
                let name = block.split([' ', '<']).next().unwrap_or_default();
                let named = lib.contains(&format!(".claims::<{name}>()"))
                    || lib.split(".claims::<").any(|rest| {
                        let path = rest.split('>').next().unwrap_or_default();
                        path.ends_with(&format!("::{name}"))
                    });
                if block.contains("fn claims(&self)") && !named {
                    wrong.push(format!(
                        "{path}: {name} holds claims, and lib.rs does not name it"
                    ));
                }
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
