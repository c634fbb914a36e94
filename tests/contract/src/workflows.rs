//! Rules for the workflows of GitHub, beyond what actionlint and zizmor check.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{Rule, sources::Tree};

/// The rules for workflows.
pub const WORKFLOWS: &[Rule<Workflows>] = &[
    ("commands", commands),
    ("pinned", pinned),
    ("bounded", bounded),
];

/// The workflows, and what they can run.
#[derive(Clone, Debug, Default)]
pub struct Workflows {
    /// Their texts, by file.
    pub files: BTreeMap<String, String>,
    /// The verbs of `cargo xtask`.
    pub verbs: BTreeSet<String>,
    /// The texts of the executable files in `.ci`, by path.
    pub scripts: BTreeMap<String, String>,
}

impl Workflows {
    /// Those of the repository.
    pub fn read(root: &Path, tree: &Tree) -> Result<Self> {
        let xtask = tree.get("xtask/src/main.rs").context("no xtask")?;
        Ok(Self {
            files: texts(root, ".github/workflows", |_| true)?,
            verbs: verbs(xtask),
            scripts: texts(root, ".ci", |mode| mode & 0o111 != 0)?,
        })
    }
}

/// The files in a directory whose mode is accepted, by their path from the root.
fn texts(
    root: &Path,
    directory: &str,
    accepts: impl Fn(u32) -> bool,
) -> Result<BTreeMap<String, String>> {
    let mut texts = BTreeMap::new();
    for entry in fs::read_dir(root.join(directory))? {
        let entry = entry?;
        if accepts(entry.metadata()?.permissions().mode()) {
            let name = format!("{directory}/{}", entry.file_name().display());
            texts.insert(name, fs::read_to_string(entry.path())?);
        }
    }
    Ok(texts)
}

/// The variants of `enum Verb`, as they are written on the command line.
fn verbs(main: &str) -> BTreeSet<String> {
    let (_, rest) = main.split_once("enum Verb {\n").unwrap_or_default();
    let lines = rest.lines().take_while(|line| *line != "}");
    let variants = lines.filter_map(|line| line.strip_prefix("    "));
    let variants = variants.filter(|line| line.starts_with(|letter: char| letter.is_uppercase()));
    variants
        .filter_map(|line| line.split([',', ' ', '(']).next())
        .map(str::to_lowercase)
        .collect()
}

/// Every step runs one command, which also works outside of GitHub: a verb of `cargo xtask`, or a step of a script in `.ci`.
pub fn commands(workflows: &Workflows) -> Vec<String> {
    let mut wrong = Vec::new();
    for (file, job) in jobs(workflows) {
        let steps = job.get("steps").and_then(Value::as_array);
        let commands = steps
            .into_iter()
            .flatten()
            .filter_map(|step| step.get("run"));
        for command in commands.filter_map(Value::as_str) {
            let words: Vec<&str> = command.split(' ').collect();
            let is_known = match *words {
                ["cargo", "xtask", verb, ..] => workflows.verbs.contains(verb),
                [script] => workflows.scripts.contains_key(script),
                [script, step] => {
                    let text = workflows.scripts.get(script);
                    text.is_some_and(|text| text.contains(&format!("\n{step}() {{\n")))
                }
                _ => false,
            };
            if !is_known || command.contains('\n') {
                wrong.push(format!("{file}: runs {command:?}"));
            }
        }
    }
    wrong
}

/// Every action is pinned by its commit, with its version in a comment.
pub fn pinned(workflows: &Workflows) -> Vec<String> {
    let mut wrong = Vec::new();
    for (file, text) in &workflows.files {
        let lines = text
            .lines()
            .map(str::trim)
            .map(|line| line.trim_start_matches("- "));
        for action in lines.filter_map(|line| line.strip_prefix("uses: ")) {
            let pin = action
                .split_once('@')
                .and_then(|(_, pin)| pin.split_once(" # v"));
            let is_commit =
                |pin: &str| pin.len() == 40 && pin.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !pin.is_some_and(|(commit, version)| is_commit(commit) && !version.is_empty()) {
                wrong.push(format!("{file}: uses {action}"));
            }
        }
    }
    wrong
}

/// A workflow may only read by default, replaces or follows its last run, and each of its jobs has a time limit.
pub fn bounded(workflows: &Workflows) -> Vec<String> {
    let mut wrong = Vec::new();
    for (file, text) in &workflows.files {
        let workflow = parsed(text);
        if workflow.get("permissions") != Some(&json!({"contents": "read"})) {
            wrong.push(format!("{file}: may do more than read"));
        }
        if workflow.get("concurrency").is_none() {
            wrong.push(format!("{file}: has no concurrency"));
        }
    }
    let jobs = jobs(workflows).into_iter();
    let endless = jobs.filter(|(_, job)| job.get("timeout-minutes").is_none());
    wrong.extend(endless.map(|(file, _)| format!("{file}: has a job without a time limit")));
    wrong
}

/// Every job, with its file.
fn jobs(workflows: &Workflows) -> Vec<(&str, Value)> {
    let jobs = workflows.files.iter().flat_map(|(file, text)| {
        let jobs = parsed(text).get("jobs").and_then(Value::as_object).cloned();
        let jobs = jobs.into_iter().flatten();
        jobs.map(|(_, job)| (&**file, job))
    });
    jobs.collect()
}

/// A workflow; null if it is no YAML, which has no permissions.
fn parsed(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_default()
}
