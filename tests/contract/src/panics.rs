//! The library code of the chassis does not panic.
use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};

use crate::{
    imports::{ends_item, is_attribute, is_punct},
    sources::Tree,
};

const SRC: &str = "services/chassis/src/";

/// Macros that panic; `debug_assert!` does not in a release.
const MACROS: &[&str] = &[
    "assert",
    "assert_eq",
    "assert_ne",
    "panic",
    "todo",
    "unimplemented",
    "unreachable",
];

/// Methods that panic.
const METHODS: &[&str] = &["expect", "expect_err", "unwrap", "unwrap_err"];

/// The lints that forbid them; `#[expect]` of one of them needs a reason.
const LINTS: &[&str] = &["expect_used", "panic", "unreachable", "unwrap_used"];

/// Nothing in the chassis may panic, except with `#[expect(…, reason = "…")]`.
pub fn none(tree: &Tree) -> Vec<String> {
    let tests = test_files(tree);
    let mut wrong = Vec::new();
    for (path, text) in tree.iter().filter(|(path, _)| path.starts_with(SRC)) {
        if tests.iter().any(|test| path.starts_with(test)) {
            continue;
        }
        if let Ok(tokens) = text.parse::<TokenStream>() {
            look(path, tokens, &mut wrong);
        }
    }
    wrong
}

fn look(path: &str, tokens: TokenStream, wrong: &mut Vec<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if is_attribute(&tokens, at, "cfg(test)") || is_expected(&tokens, at) {
            at += 2;
            while tokens.get(at).is_some_and(|token| !ends_item(token)) {
                at += 1;
            }
        }
        match token {
            TokenTree::Group(group) => look(path, group.stream(), wrong),
            TokenTree::Ident(word) => {
                let word = word.to_string();
                let next = |sign| {
                    tokens
                        .get(at + 1)
                        .is_some_and(|token| is_punct(token, sign))
                };
                let called =
                    at >= 1 && tokens.get(at - 1).is_some_and(|token| is_punct(token, '.'));
                let panics = (MACROS.contains(&word.as_str()) && next('!'))
                    || (called && METHODS.contains(&word.as_str()));
                if panics {
                    let line = token.span().start().line;
                    wrong.push(format!("{path}:{line}: {word} may panic"));
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// Whether `#[expect(clippy::…, reason = "…")]` of a panic begins at a token.
fn is_expected(tokens: &[TokenTree], at: usize) -> bool {
    let begins = tokens.get(at).is_some_and(|token| is_punct(token, '#'));
    let Some(TokenTree::Group(group)) = tokens.get(at + 1).filter(|_| begins) else {
        return false;
    };
    let text = group.stream().to_string().replace(' ', "");
    let of_panic = LINTS
        .iter()
        .any(|lint| text.contains(&format!("clippy::{lint},")));
    text.starts_with("expect(") && of_panic && text.contains("reason=")
}

/// The files and directories of `#[cfg(test)] mod name;`.
fn test_files(tree: &Tree) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (path, text) in tree.iter().filter(|(path, _)| path.starts_with(SRC)) {
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if line.trim() != "#[cfg(test)]" {
                continue;
            }
            let Some(name) = lines.next().and_then(|line| {
                let line = line.trim().trim_start_matches("pub(crate) ");
                line.strip_prefix("mod ")?.strip_suffix(';')
            }) else {
                continue;
            };
            let base = path
                .strip_suffix("/mod.rs")
                .or_else(|| path.strip_suffix("/lib.rs"))
                .or_else(|| path.strip_suffix(".rs"));
            let base = base.unwrap_or(path);
            found.insert(format!("{base}/{name}.rs"));
            found.insert(format!("{base}/{name}/"));
        }
    }
    found
}
