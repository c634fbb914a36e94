//! Which tests show which requirement, from `/// Requirement: A-F4, A-N5.` above a test.
use std::collections::{BTreeMap, BTreeSet};

use crate::sources::Tree;

const MARK: &str = "/// Requirement: ";

/// The tests of each requirement, each as `crate`: `test`, and what is wrong with the comments.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// By the id of the requirement.
    pub tests: BTreeMap<String, BTreeSet<String>>,
    /// Comments that are not above a test, or name no ids.
    pub wrong: Vec<String>,
}

/// The requirements that the tests of the repository name.
pub fn shown(tree: &Tree) -> Shown {
    let mut shown = Shown::default();
    for (path, text) in tree {
        let Some(krate) = crate_of(path) else {
            continue;
        };
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(ids) = line.strip_prefix(MARK) else {
                continue;
            };
            let ids: Vec<&str> = ids.trim_end_matches('.').split(", ").collect();
            let place = format!("{path}:{}", at + 1);
            let rest = lines.get(at + 1..).unwrap_or_default();
            let Some(test) = test_below(rest) else {
                shown.wrong.push(format!("{place}: not above a test"));
                continue;
            };
            for id in ids {
                if is_id(id) {
                    let tests = shown.tests.entry(id.to_owned()).or_default();
                    tests.insert(format!("{krate}: `{test}`"));
                } else {
                    shown.wrong.push(format!("{place}: {id:?} is no id"));
                }
            }
        }
    }
    shown
}

/// Whether a text is an id: `A-F4`, `C-I5b`, `B-1`.
fn is_id(text: &str) -> bool {
    let Some((group, number)) = text.split_once('-') else {
        return false;
    };
    let is_group = group.len() == 1 && group.chars().all(|letter| letter.is_ascii_uppercase());
    let digits = number.trim_start_matches(|letter: char| letter.is_ascii_uppercase());
    let digits = digits.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
    let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_ascii_digit());
    is_group && is_number && number.len() <= digits.len() + 2
}

/// The ids that a page has a row for, in its order.
pub fn ids(page: &str) -> Vec<&str> {
    page.lines()
        .filter_map(|line| row(line).map(|(id, _)| id))
        .collect()
}

/// Ids that tests name and the page does not have, and ids that the page has twice.
pub fn unknown(page: &str, shown: &Shown) -> Vec<String> {
    let ids = ids(page);
    let known: BTreeSet<&str> = ids.iter().copied().collect();
    let unknown = shown.tests.keys().filter(|id| !known.contains(id.as_str()));
    let mut wrong: Vec<String> = unknown
        .map(|id| format!("{id}: named by a test, and not in the page"))
        .collect();
    let mut before = BTreeSet::new();
    let twice = ids.into_iter().filter(|id| !before.insert(*id));
    wrong.extend(twice.map(|id| format!("{id}: twice in the page")));
    wrong
}

/// The page with the tests of each requirement in the last column of its row, or `open`.
pub fn drawn(page: &str, shown: &Shown) -> String {
    let lines = page.lines().map(|line| {
        let Some((id, sentence)) = row(line) else {
            return format!("{line}\n");
        };
        let tests = shown.tests.get(id).into_iter().flatten();
        let tests: Vec<&str> = tests.map(String::as_str).collect();
        let tests = match tests.join("<br>") {
            none if none.is_empty() => "open".to_owned(),
            tests => tests,
        };
        format!("| {id} | {sentence} | {tests} |\n")
    });
    lines.collect()
}

/// The id and the sentence of a row.
fn row(line: &str) -> Option<(&str, &str)> {
    let mut cells = line.strip_prefix("| ")?.split(" | ");
    let (id, sentence) = (cells.next()?, cells.next()?);
    is_id(id).then(|| (id, sentence.trim_end_matches(" |").trim()))
}

/// The name of the test that follows, with its comments and attributes.
fn test_below<'l>(lines: &[&'l str]) -> Option<&'l str> {
    let mut is_test = false;
    for line in lines {
        if line.starts_with("///") {
            continue;
        }
        if line.starts_with("#[") {
            is_test |= line.contains("test");
            continue;
        }
        let (_, rest) = line.split_once("fn ")?;
        let (name, parameters) = rest.split_once('(')?;
        // A story is run in several modes by a macro.
        return (is_test || parameters.starts_with("mode: Mode")).then_some(name);
    }
    None
}

/// `stories` of `tests/stories/tests/it/money.rs`, `room` of `services/room/src/domain/room.rs`.
fn crate_of(path: &str) -> Option<&str> {
    let mut parts = path.split('/');
    match (parts.next()?, parts.next()?, parts.next()?) {
        ("tests", name, _) | ("services", name, "src" | "tests") => Some(name),
        _ => None,
    }
}
