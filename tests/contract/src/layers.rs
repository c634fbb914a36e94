//! The layers of the chassis: which layer may import which, and a picture of which does.
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use anyhow::{Context, Result};

use crate::{imports::imports, sources::Tree};

const SRC: &str = "services/chassis/src/";

/// From top to bottom. A layer imports only layers below it.
pub const LAYERS: &[&str] = &[
    "cli",
    "runtime",
    "server",
    "client",
    "messaging",
    "store",
    "security",
    "telemetry",
    "domain",
    "contract",
    "error",
    "base",
];

/// Imports in the chassis go down, and every file is in a layer.
pub fn down(tree: &Tree) -> Vec<String> {
    let mut wrong = Vec::new();
    let files = tree.keys().filter(|path| path.starts_with(SRC));
    for path in files.filter(|path| *path != "services/chassis/src/lib.rs") {
        if position(path).is_none() {
            wrong.push(format!("{path}: in no layer"));
        }
    }
    for import in imports(tree, SRC) {
        let Some(from) = position(&import.from) else {
            continue;
        };
        // The root of the crate is above every layer: it exports what contexts use.
        let is_up = position(&import.to).is_none_or(|to| to < from);
        if is_up {
            wrong.push(format!(
                "{}:{}: imports {}, which is above it",
                import.from, import.line, import.to
            ));
        }
    }
    wrong
}

/// The picture and the table of the layers, as Markdown.
pub fn draw(tree: &Tree) -> Result<String> {
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let imports = imports(tree, SRC);
    for import in &imports {
        let (from, to) = (name(&import.from), name(&import.to));
        if let (Some(from), Some(to)) = (from, to)
            && from != to
        {
            edges.entry(from).or_default().insert(to);
        }
    }
    let mut text = "```mermaid\nflowchart TD\n".to_owned();
    for layer in LAYERS {
        for below in reduced(&edges, layer) {
            writeln!(text, "  {layer} --> {below}")?;
        }
    }
    text.push_str("```\n\n| Layer | What it is | Imports |\n|---|---|---|\n");
    for layer in LAYERS {
        let root = tree.get(&format!("{SRC}{layer}/mod.rs"));
        let root = root.with_context(|| format!("{layer}: no mod.rs"))?;
        let about: Vec<&str> = root
            .lines()
            .map_while(|line| line.strip_prefix("//!"))
            .take_while(|line| !line.trim().is_empty())
            .map(str::trim)
            .collect();
        let below = edges.get(layer);
        let below = LAYERS
            .iter()
            .filter(|other| below.is_some_and(|below| below.contains(*other)));
        let below: Vec<&str> = below.copied().collect();
        let (about, below) = (about.join(" "), below.join(", "));
        writeln!(text, "| `{layer}` | {about} | {below} |")?;
    }
    Ok(text)
}

/// The layers that a layer imports, without those that it reaches through another one.
fn reduced<'e>(edges: &BTreeMap<&str, BTreeSet<&'e str>>, layer: &str) -> Vec<&'e str> {
    let direct: Vec<&str> = edges.get(layer).into_iter().flatten().copied().collect();
    let reaches = |from: &str, to: &str| {
        let mut open = vec![from];
        let mut seen = BTreeSet::new();
        while let Some(at) = open.pop() {
            for next in edges.get(at).into_iter().flatten() {
                if *next == to {
                    return true;
                }
                if seen.insert(*next) {
                    open.push(next);
                }
            }
        }
        false
    };
    let needed = |to: &&str| !direct.iter().any(|via| via != to && reaches(via, to));
    let mut needed: Vec<&str> = direct.iter().copied().filter(needed).collect();
    needed.sort_by_key(|layer| LAYERS.iter().position(|other| other == layer));
    needed
}

/// The layer of a file, by its position from the top.
fn position(path: &str) -> Option<usize> {
    let name = name(path)?;
    LAYERS.iter().position(|layer| *layer == name)
}

fn name(path: &str) -> Option<&str> {
    path.strip_prefix(SRC)?
        .split_once('/')
        .map(|(name, _)| name)
}
