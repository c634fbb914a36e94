//! The files and functions that a page names.
use std::{fs, path::Path};

use crate::{shape::CONTEXTS, sources::Tree};

/// How the names of files end that a page may mention.
const FILES: &[&str] = &[
    ".json", ".md", ".proto", ".rs", ".sql", ".toml", ".tpl", ".txt", ".yaml", ".yml", "/",
];

/// Files and functions that a page names in code spans (`path/to/file.rs::function`) and that do not exist. A span is a path
/// if it begins with a directory or file of the repository; `<context>` stands for any context.
pub fn missing(page: &str, root: &Path, tree: &Tree) -> Vec<String> {
    let mut wrong = Vec::new();
    let prose = prose(page);
    // Every second part is between two backticks.
    for span in prose.split('`').skip(1).step_by(2) {
        if is_path(span, root) && !exists(span, root, tree) {
            wrong.push(format!("{span}: does not exist"));
        }
    }
    wrong
}

/// The files that the links of a page point to and that do not exist, from the directory of the page.
pub fn broken_links(page: &str, directory: &Path) -> Vec<String> {
    let links = page.split("](").skip(1);
    let targets = links.filter_map(|rest| rest.split([')', '#', ' ']).next());
    targets
        .filter(|target| !target.is_empty() && !target.contains("://"))
        .filter(|target| !directory.join(target).exists())
        .map(|target| format!("{target}: does not exist"))
        .collect()
}

/// A page without its blocks of code.
fn prose(page: &str) -> String {
    let mut prose = String::new();
    let mut is_block = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
        } else if !is_block {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

fn is_path(span: &str, root: &Path) -> bool {
    let (path, _) = span.split_once("::").unwrap_or((span, ""));
    let Some((first, _)) = path.split_once('/') else {
        return false;
    };
    let is_file = FILES.iter().any(|end| path.ends_with(end));
    is_file && !path.contains(char::is_whitespace) && root.join(first).is_dir()
}

fn exists(span: &str, root: &Path, tree: &Tree) -> bool {
    let (path, function) = span.split_once("::").unwrap_or((span, ""));
    let is_there = |path: String| {
        let defines = |text: &String| text.contains(&format!("fn {function}"));
        root.join(&path).exists() && (function.is_empty() || tree.get(&path).is_some_and(defines))
    };
    let names = CONTEXTS.iter();
    names
        .map(|context| path.replace("<context>", context))
        .any(is_there)
}

/// The pages for readers of the repository: their paths from its root, and their texts.
pub fn pages(root: &Path) -> std::io::Result<Vec<(String, String)>> {
    let mut paths: Vec<String> = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
        .map(ToOwned::to_owned)
        .into();
    for entry in fs::read_dir(root.join("docs"))? {
        paths.push(format!("docs/{}", entry?.file_name().display()));
    }
    paths.sort();
    let pages = paths.into_iter();
    pages
        .map(|path| fs::read_to_string(root.join(&path)).map(|text| (path, text)))
        .collect()
}
