//! The generated parts of docs/operating.md: settings, metrics and findings; and whether the page names only what exists.
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use all::doctor::{Code, Finding};
use anyhow::Result;
use chassis::{
    Context,
    telemetry::metrics_catalogue::{MEASURES, Measure},
};
use clap::{Arg, ArgAction, Command};

use crate::{code::Code as Source, sources::Tree};

/// The file that documents the metrics.
const TABLE: &str = "services/chassis/src/telemetry/metrics_catalogue.rs";

/// The parts of the page, by name.
pub fn parts(contexts: &[Context]) -> Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("settings", settings(&commands(contexts))?),
        ("metrics", metrics()?),
        ("findings", findings()?),
    ])
}

/// Every command line, by its command and subcommand.
pub fn commands(contexts: &[Context]) -> BTreeMap<String, Command> {
    let own = contexts.iter().map(|context| {
        (
            context.name.to_owned(),
            chassis::cli::run::command(context, &[recovery::SUBCOMMAND]),
        )
    });
    let mut all: BTreeMap<String, Command> = BTreeMap::new();
    for (name, command) in own.chain([("berth".to_owned(), all::command())]) {
        for sub in command.get_subcommands() {
            all.insert(format!("{name} {}", sub.get_name()), sub.clone());
        }
        all.insert(name, command);
    }
    all
}

/// A flag, as the page shows it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Flag {
    name: String,
    variable: String,
    default: String,
    meaning: String,
}

impl Flag {
    fn of(arg: &Arg) -> Self {
        let variable = arg.get_env().map(|name| name.display().to_string());
        let values = arg.get_default_values().iter();
        let values: Vec<String> = values.map(|value| value.display().to_string()).collect();
        let default = match (values.join(","), arg.get_action()) {
            (_, ArgAction::SetTrue) => "off".to_owned(),
            (none, _) if none.is_empty() => "none".to_owned(),
            (value, _) => format!("`{value}`"),
        };
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let words: Vec<&str> = help.split_whitespace().collect();
        Self {
            name: arg.get_long().unwrap_or(arg.get_id().as_str()).to_owned(),
            variable: variable.unwrap_or_default(),
            default,
            meaning: words.join(" ").replace('|', "\\|"),
        }
    }
}

/// Every flag of every command line, grouped by the commands that have it.
fn settings(commands: &BTreeMap<String, Command>) -> Result<String> {
    let mut users: BTreeMap<Flag, BTreeSet<&str>> = BTreeMap::new();
    for (name, command) in commands {
        for arg in command.get_arguments() {
            users.entry(Flag::of(arg)).or_default().insert(name);
        }
    }
    let processes: BTreeSet<&str> = commands
        .keys()
        .map(String::as_str)
        .filter(|name| !name.contains(' '))
        .collect();
    let mut groups: BTreeMap<(usize, String), Vec<&Flag>> = BTreeMap::new();
    for (flag, users) in &users {
        groups
            .entry(group(users, &processes))
            .or_default()
            .push(flag);
    }
    let mut text = String::new();
    for ((_, who), flags) in groups {
        writeln!(text, "**{who}**\n")?;
        text.push_str("| Flag | Variable | Default | What |\n|---|---|---|---|\n");
        for flag in flags {
            let Flag {
                name,
                variable,
                default,
                meaning,
            } = flag;
            writeln!(
                text,
                "| `--{name}` | `{variable}` | {default} | {meaning} |"
            )?;
        }
        text.push('\n');
    }
    Ok(text)
}

/// The commands that have a flag, in words, and the position of that group.
fn group(users: &BTreeSet<&str>, processes: &BTreeSet<&str>) -> (usize, String) {
    let plain: BTreeSet<&str> = users
        .iter()
        .copied()
        .filter(|name| !name.contains(' '))
        .collect();
    let of_subcommands = || {
        let subcommands = users.iter().filter_map(|name| name.split(' ').nth(1));
        let mut subcommands: Vec<&str> = subcommands.collect();
        subcommands.sort_unstable();
        subcommands.dedup();
        let named = subcommands.iter().map(|name| format!("`{name}`"));
        named.collect::<Vec<_>>().join(", ")
    };
    let alone: BTreeSet<&str> = processes
        .iter()
        .copied()
        .filter(|name| *name != "berth")
        .collect();
    let subcommands = match of_subcommands() {
        none if none.is_empty() => none,
        some => format!(", and {some}"),
    };
    match plain.len() {
        _ if plain == *processes => (
            usize::from(!subcommands.is_empty()),
            format!("Every process{subcommands}"),
        ),
        _ if plain == alone => (2, "A context in a process of its own".to_owned()),
        0 => (5, of_subcommands()),
        1 if plain.contains("berth") => (3, "`berth`, all contexts in one process".to_owned()),
        _ => {
            let named = plain.iter().filter(|name| **name != "berth");
            let named: Vec<String> = named.map(|name| format!("`{name}`")).collect();
            (4, format!("{}, and `berth`{subcommands}", named.join(", ")))
        }
    }
}

/// Every metric.
fn metrics() -> Result<String> {
    let mut text = "| Metric | Kind | Labels | What |\n|---|---|---|---|\n".to_owned();
    for Measure {
        name,
        kind,
        labels,
        meaning,
    } in MEASURES
    {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, labels) = (kind.name(), labels.join(", "));
        writeln!(text, "| `{name}` | {kind} | {labels} | {meaning} |")?;
    }
    Ok(text)
}

/// Every finding of the doctor.
fn findings() -> Result<String> {
    let mut text = "| Exit code | Finding | Severity |\n|---|---|---|\n".to_owned();
    for code in Code::ALL {
        let about = code.about();
        let (name, severity) = (about.name, about.severity.name());
        let anchor = name.to_lowercase();
        writeln!(
            text,
            "| {} | [{name}](#{anchor}) | {severity} |",
            about.exit
        )?;
    }
    for code in Code::ALL {
        let about = code.about();
        let remedy = Finding::unknown(*code).remedy();
        let (name, severity) = (about.name, about.severity.name());
        writeln!(
            text,
            "\n### {name}\n\n{severity}, exit code {}\n",
            about.exit
        )?;
        writeln!(text, "{}\n\n**Remedy.** {remedy}", about.meaning)?;
    }
    Ok(text)
}

/// Every metric in the sources is documented, and every documented one is in the sources.
pub fn undocumented_metrics(tree: &Tree) -> Vec<String> {
    let documented: BTreeSet<&str> = MEASURES.iter().map(|measure| measure.name).collect();
    let mut used = BTreeSet::new();
    for (path, text) in tree {
        let code = path.starts_with("services/") && path.contains("/src/");
        if !code || path == TABLE || !text.contains("\"berth_") {
            continue;
        }
        let texts = Source::of(text).without_tests().literals.into_iter();
        let names = texts.map(|(_, text)| text.trim_matches('"').to_owned());
        used.extend(names.filter(|name| is_metric(name)));
    }
    let undocumented = used
        .iter()
        .filter(|name| !documented.contains(name.as_str()));
    let unused = documented.iter().filter(|name| !used.contains(**name));
    undocumented
        .map(|name| format!("{name}: not in {TABLE}"))
        .chain(unused.map(|name| format!("{name}: not in the sources")))
        .collect()
}

fn is_metric(name: &str) -> bool {
    let rest = name.strip_prefix("berth_");
    rest.is_some_and(|rest| {
        !rest.is_empty() && rest.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    })
}

/// Series on `/metrics` whose name or labels are not documented.
pub fn unexpected_series(exposition: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for line in exposition.lines().filter(|line| line.starts_with("berth_")) {
        let end = line.find(['{', ' ']).unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        let is_of = |measure: &&Measure| {
            let ends = ["", "_bucket", "_sum", "_count"];
            ends.iter()
                .any(|end| name.strip_suffix(end) == Some(measure.name))
        };
        let Some(measure) = MEASURES.iter().find(is_of) else {
            wrong.push(format!("{name}: not in {TABLE}"));
            continue;
        };
        let inside = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let labels = inside.map_or("", |(labels, _)| labels);
        let labels = labels.split(',').filter_map(|label| label.split_once('='));
        let labels: BTreeSet<&str> = labels
            .map(|(label, _)| label)
            .filter(|label| *label != "le")
            .collect();
        if !labels.iter().eq(measure.labels) {
            wrong.push(format!("{name}: its labels are {labels:?}"));
        }
    }
    wrong.sort();
    wrong.dedup();
    wrong
}

/// Metrics that a page names and that do not exist, and headings that remedies name and that it lacks.
pub fn stale_names(page: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
    for (at, _) in page.match_indices("berth_") {
        let name: &str = page.get(at..).unwrap_or_default();
        let name = name.split(|c: char| !is_part(c)).next().unwrap_or_default();
        let ends = ["", "_bucket", "_sum", "_count"];
        let known = |measure: &Measure| {
            ends.iter()
                .any(|end| name.strip_suffix(end) == Some(measure.name))
        };
        if !MEASURES.iter().any(known) {
            wrong.push(format!("{name}: no such metric"));
        }
    }
    for code in Code::ALL {
        let remedy = code.about().remedy;
        for (before, _) in remedy.match_indices("\" in docs/operating.md") {
            let text = remedy.get(..before).unwrap_or_default();
            let title = text.rsplit('"').next().unwrap_or_default();
            if !page
                .lines()
                .any(|line| line.trim_start_matches('#').trim() == title && line.starts_with('#'))
            {
                wrong.push(format!("{}: no section {title}", code.name()));
            }
        }
    }
    wrong
}
