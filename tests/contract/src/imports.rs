//! Which file of a crate imports which: from `use` trees and from paths in the code, without test modules.
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::sources::Tree;

/// A file imports another one of the same crate. Both are paths from the root of the repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    /// The file that imports.
    pub from: String,
    /// The file that is imported.
    pub to: String,
    /// The line in `from`.
    pub line: usize,
}

/// The path of a module from the root of its crate.
type Module = Vec<String>;

/// The imports between the files of one crate, by its source directory (`services/room/src/`).
pub fn imports(tree: &Tree, src: &str) -> Vec<Import> {
    let files = tree.range(src.to_owned()..);
    let files = files.take_while(|(path, _)| path.starts_with(src));
    let mut parsed: Vec<(Module, &str, Vec<TokenTree>)> = Vec::new();
    for (path, text) in files {
        // `main.rs` is a crate of its own, which uses the library from outside.
        if let (Some(module), Ok(tokens)) = (module(path, src), text.parse::<TokenStream>()) {
            parsed.push((module, path, tokens.into_iter().collect()));
        }
    }
    let mut modules = Modules::default();
    for (module, path, _) in &parsed {
        modules.files.insert(module.clone(), (*path).to_owned());
    }
    for (module, path, tokens) in &parsed {
        modules.declare(tokens, module, path);
    }
    let mut found = BTreeSet::new();
    for (module, path, tokens) in &parsed {
        if modules.is_test(module) {
            continue;
        }
        let mut scan = Scan {
            modules: &modules,
            aliases: BTreeMap::new(),
            found: Vec::new(),
        };
        scan.uses(tokens, module);
        scan.paths(tokens, module);
        for (line, to) in scan.found {
            if to != *path {
                let from = (*path).to_owned();
                found.insert(Import { from, to, line });
            }
        }
    }
    found.into_iter().collect()
}

/// The crates below `services/`, by their source directories.
pub fn crates(tree: &Tree) -> BTreeSet<String> {
    let src = |path: &String| {
        let mut parts = path.split('/');
        let (top, name, src) = (parts.next()?, parts.next()?, parts.next()?);
        ((top, src) == ("services", "src")).then(|| format!("{top}/{name}/{src}/"))
    };
    tree.keys().filter_map(src).collect()
}

/// The files of a crate do not import each other in a circle.
pub fn circles(tree: &Tree) -> Vec<String> {
    let mut wrong = Vec::new();
    for src in crates(tree) {
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for Import { from, to, .. } in imports(tree, &src) {
            edges.entry(from).or_default().insert(to);
        }
        let mut reported = BTreeSet::new();
        for file in edges.keys() {
            if reported.contains(file) {
                continue;
            }
            let Some(circle) = shortest_circle(&edges, file) else {
                continue;
            };
            let in_it: Vec<&String> = reachable(&edges, file)
                .into_iter()
                .filter(|other| reachable(&edges, other).contains(file))
                .collect();
            reported.extend(in_it.iter().map(|file| (*file).clone()));
            let short = |path: &String| path.trim_start_matches(&src).to_owned();
            let circle: Vec<String> = circle.iter().map(short).collect();
            let in_it: Vec<String> = in_it.into_iter().map(short).collect();
            wrong.push(format!(
                "{src}: circle of imports {}; files in it: {}",
                circle.join(" -> "),
                in_it.join(", ")
            ));
        }
    }
    wrong
}

type Edges = BTreeMap<String, BTreeSet<String>>;

/// The files that are imported by a file, directly or not.
fn reachable<'e>(edges: &'e Edges, from: &str) -> BTreeSet<&'e String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&String> = edges.get(from).into_iter().flatten().collect();
    while let Some(next) = open.pop() {
        if found.insert(next) {
            open.extend(edges.get(next).into_iter().flatten());
        }
    }
    found
}

/// The shortest way from a file back to it.
fn shortest_circle(edges: &Edges, start: &String) -> Option<Vec<String>> {
    let mut before: BTreeMap<&String, &String> = BTreeMap::new();
    let mut open = VecDeque::from([start]);
    while let Some(file) = open.pop_front() {
        for next in edges.get(file).into_iter().flatten() {
            if next == start {
                let mut way = vec![start.clone(), file.clone()];
                let mut at = file;
                while let Some(previous) = before.get(at).filter(|_| at != start) {
                    at = previous;
                    way.push(at.clone());
                }
                way.reverse();
                return Some(way);
            }
            if !before.contains_key(next) {
                before.insert(next, file);
                open.push_back(next);
            }
        }
    }
    None
}

/// `services/room/src/codec/mod.rs` is the module `codec`; `main.rs` is none.
fn module(path: &str, src: &str) -> Option<Module> {
    let name = path.strip_prefix(src)?.strip_suffix(".rs")?;
    let mut module: Module = name.split('/').map(ToOwned::to_owned).collect();
    match module.last()?.as_str() {
        "mod" => drop(module.pop()),
        "lib" if module.len() == 1 => drop(module.pop()),
        "main" if module.len() == 1 => return None,
        _ => {}
    }
    Some(module)
}

/// The modules of a crate.
#[derive(Default)]
struct Modules {
    /// The file of each module; of a module in braces it is the file around it.
    files: BTreeMap<Module, String>,
    /// The modules that only tests have.
    tests: Vec<Module>,
    /// The file of each macro that is exported at the root of the crate.
    macros: BTreeMap<String, String>,
}

impl Modules {
    /// Notes the modules in braces, the test modules and the exported macros of a file.
    fn declare(&mut self, tokens: &[TokenTree], scope: &Module, path: &str) {
        let mut test = false;
        let mut exported = false;
        for (at, token) in tokens.iter().enumerate() {
            test |= is_attribute(tokens, at, "cfg(test)");
            exported |= is_attribute(tokens, at, "macro_export");
            match (ident(token).as_deref(), tokens.get(at + 1)) {
                (Some("mod"), Some(name @ TokenTree::Ident(_))) => {
                    let mut inner = scope.clone();
                    inner.push(name.to_string());
                    if std::mem::take(&mut test) {
                        self.tests.push(inner.clone());
                    }
                    if let Some(TokenTree::Group(body)) = tokens.get(at + 2) {
                        self.files.insert(inner.clone(), path.to_owned());
                        let body: Vec<TokenTree> = body.stream().into_iter().collect();
                        self.declare(&body, &inner, path);
                    }
                }
                (Some("macro_rules"), _) if std::mem::take(&mut exported) => {
                    if let Some(name) = tokens.get(at + 2) {
                        self.macros.insert(name.to_string(), path.to_owned());
                    }
                }
                _ => {}
            }
            if ends_item(token) {
                (test, exported) = (false, false);
            }
        }
    }

    fn is_test(&self, module: &Module) -> bool {
        self.tests.iter().any(|test| module.starts_with(test))
    }

    /// The module at the beginning of an absolute path, and what follows.
    fn split<'p>(&self, path: &'p [String]) -> (&'p [String], &'p [String]) {
        let length = (0..=path.len()).rev().find(|length| {
            let (module, _) = path.split_at(*length);
            self.files.contains_key(module)
        });
        path.split_at(length.unwrap_or(0))
    }
}

/// What one file imports.
struct Scan<'m> {
    modules: &'m Modules,
    /// The modules that the file names by `use`.
    aliases: BTreeMap<String, Module>,
    /// The lines, and the files that are imported there.
    found: Vec<(usize, String)>,
}

impl Scan<'_> {
    /// Notes every `use`.
    fn uses(&mut self, tokens: &[TokenTree], scope: &Module) {
        each(tokens, scope, &mut |tokens, at, scope| {
            if !is_use(tokens, at) {
                return;
            }
            let rest = tokens.get(at + 1..).unwrap_or_default();
            let end = rest.iter().position(|token| is_punct(token, ';'));
            let (used, _) = rest.split_at(end.unwrap_or(rest.len()));
            let mut leaves = Vec::new();
            use_tree(used, &Vec::new(), &mut leaves);
            for (line, path, name) in leaves {
                let Some(path) = self.absolute(&path, scope) else {
                    continue;
                };
                self.note(line, &path);
                if self.modules.files.contains_key(&path) {
                    self.aliases.insert(name, path);
                }
            }
        });
    }

    /// Notes every path that begins with a module of the crate.
    fn paths(&mut self, tokens: &[TokenTree], scope: &Module) {
        each(tokens, scope, &mut |tokens, at, scope| {
            let is_colon = |at: usize| tokens.get(at).is_some_and(|token| is_punct(token, ':'));
            let continues = at >= 2 && is_colon(at - 1) && is_colon(at - 2);
            // What follows `$crate` is a path of the code that expands the macro.
            let of_macro = at >= 1 && tokens.get(at - 1).is_some_and(|token| is_punct(token, '$'));
            if continues || of_macro {
                return;
            }
            let mut path = Vec::new();
            let mut next = at;
            while let Some(segment) = tokens.get(next).and_then(ident) {
                path.push(segment);
                if !(is_colon(next + 1) && is_colon(next + 2)) {
                    break;
                }
                next += 3;
            }
            if path.len() < 2 {
                return;
            }
            if let (Some(path), Some(token)) = (self.absolute(&path, scope), tokens.get(at)) {
                self.note(token.span().start().line, &path);
            }
        });
    }

    /// A path from the root of the crate; `None` for one of another crate.
    fn absolute(&self, path: &[String], scope: &Module) -> Option<Module> {
        let (first, mut rest) = path.split_first()?;
        let mut module = match first.as_str() {
            "crate" => Module::new(),
            "self" => scope.clone(),
            "super" => {
                let (_, parent) = scope.split_last()?;
                let mut parent = parent.to_vec();
                while let Some(("super", more)) = rest.split_first().map(|(a, b)| (a.as_str(), b)) {
                    parent.pop();
                    rest = more;
                }
                parent
            }
            name => {
                let mut child = scope.clone();
                child.push(name.to_owned());
                if self.modules.files.contains_key(&child) {
                    child
                } else {
                    self.aliases.get(name)?.clone()
                }
            }
        };
        module.extend(rest.iter().cloned());
        Some(module)
    }

    fn note(&mut self, line: usize, path: &[String]) {
        let (module, rest) = self.modules.split(path);
        let of_macro = rest.first().filter(|_| module.is_empty());
        let of_macro = of_macro.and_then(|name| self.modules.macros.get(name));
        if let Some(file) = of_macro.or_else(|| self.modules.files.get(module)) {
            self.found.push((line, file.clone()));
        }
    }
}

/// Calls `look` at every token that is not test code, with the module in which it is.
fn each(tokens: &[TokenTree], scope: &Module, look: &mut impl FnMut(&[TokenTree], usize, &Module)) {
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if is_attribute(tokens, at, "cfg(test)") || is_attribute(tokens, at, "test") {
            at += 2;
            while tokens.get(at).is_some_and(|token| !ends_item(token)) {
                at += 1;
            }
            at += 1;
            continue;
        }
        look(tokens, at, scope);
        if is_use(tokens, at) {
            let rest = tokens.get(at..).unwrap_or_default();
            let end = rest.iter().position(|token| is_punct(token, ';'));
            at += end.unwrap_or(rest.len()) + 1;
            continue;
        }
        if let TokenTree::Group(group) = token {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            let visibility = at >= 1
                && tokens.get(at - 1).and_then(ident).as_deref() == Some("pub")
                && inner.first().and_then(ident).as_deref() == Some("in");
            let name = at
                .checked_sub(2)
                .filter(|at| tokens.get(*at).and_then(ident).as_deref() == Some("mod"))
                .and_then(|_| tokens.get(at - 1));
            if let Some(name) = name {
                let mut module = scope.clone();
                module.push(name.to_string());
                each(&inner, &module, look);
            } else if !visibility {
                each(&inner, scope, look);
            }
        }
        at += 1;
    }
}

/// Whether a `use` begins at a token; that of `impl Trait + use<'_>` imports nothing.
fn is_use(tokens: &[TokenTree], at: usize) -> bool {
    let begins = tokens.get(at).and_then(ident).as_deref() == Some("use");
    begins && !tokens.get(at + 1).is_some_and(|next| is_punct(next, '<'))
}

/// The paths of a `use`, each with its line and the name that it gets.
fn use_tree(tokens: &[TokenTree], prefix: &Module, leaves: &mut Vec<(usize, Module, String)>) {
    for branch in tokens.split(|token| is_punct(token, ',')) {
        let Some(first) = branch.first() else {
            continue;
        };
        let line = first.span().start().line;
        // `use ::other_crate::…` begins with a colon.
        if prefix.is_empty() && is_punct(first, ':') {
            continue;
        }
        let mut path = prefix.clone();
        let mut name = None;
        let mut tokens = branch.iter();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    use_tree(&inner, &path, leaves);
                    path.clear();
                }
                TokenTree::Ident(word) if word == "as" => {
                    name = tokens.next().map(ToString::to_string);
                }
                TokenTree::Ident(word) if word == "self" && !path.is_empty() => {}
                TokenTree::Ident(word) => path.push(word.to_string()),
                _ => {}
            }
        }
        if let Some(last) = path.last() {
            let name = name.unwrap_or_else(|| last.clone());
            leaves.push((line, path, name));
        }
    }
}

/// Whether an attribute with these words begins at a token.
pub(crate) fn is_attribute(tokens: &[TokenTree], at: usize, words: &str) -> bool {
    let begins = tokens.get(at).is_some_and(|token| is_punct(token, '#'));
    let Some(TokenTree::Group(group)) = tokens.get(at + 1).filter(|_| begins) else {
        return false;
    };
    let text = group.stream().to_string().replace(char::is_whitespace, "");
    group.delimiter() == Delimiter::Bracket && text == words
}

/// Whether an item ends with a token: with a semicolon, or with a body in braces.
pub(crate) fn ends_item(token: &TokenTree) -> bool {
    let is_body = matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
    is_body || is_punct(token, ';')
}

pub(crate) fn is_punct(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn ident(token: &TokenTree) -> Option<String> {
    match token {
        TokenTree::Ident(word) => Some(word.to_string()),
        _ => None,
    }
}
