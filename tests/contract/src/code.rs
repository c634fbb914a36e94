//! Rust source, split into code and literals.
use std::collections::BTreeMap;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The code and the literals of a source file by line, without comments.
#[derive(Default)]
pub(crate) struct Code {
    pub(crate) lines: BTreeMap<usize, String>,
    pub(crate) literals: Vec<(usize, String)>,
}

impl Code {
    pub(crate) fn of(text: &str) -> Self {
        let mut code = Self::default();
        match text.parse() {
            Ok(tokens) => code.add(tokens),
            Err(error) => code.push(0, &error.to_string()),
        }
        code
    }

    /// Without the test module at the end of the file.
    pub(crate) fn without_tests(mut self) -> Self {
        let tests = self.tests();
        self.lines.retain(|number, _| *number < tests);
        self.literals.retain(|(number, _)| *number < tests);
        self
    }

    /// Whether a line contains some words.
    pub(crate) fn contains(&self, words: &str) -> bool {
        self.lines.values().any(|line| line.contains(words))
    }

    /// The line where the test module begins.
    pub(crate) fn tests(&self) -> usize {
        let mut lines = self.lines.iter();
        let tests = lines.find(|(_, line)| line.contains("#[cfg(test)]"));
        tests.map_or(usize::MAX, |(number, _)| *number)
    }

    fn add(&mut self, tokens: TokenStream) {
        for token in tokens {
            let line = token.span().start().line;
            match token {
                TokenTree::Group(group) => {
                    let (open, close) = match group.delimiter() {
                        Delimiter::Parenthesis => ("(", ")"),
                        Delimiter::Brace => ("{", "}"),
                        Delimiter::Bracket => ("[", "]"),
                        Delimiter::None => ("", ""),
                    };
                    self.push(line, open);
                    self.add(group.stream());
                    self.push(group.span_close().end().line, close);
                }
                TokenTree::Ident(word) => self.push(line, &word.to_string()),
                TokenTree::Punct(sign) => self.push(line, &sign.to_string()),
                TokenTree::Literal(literal) => {
                    let code = self.lines.entry(line).or_default();
                    if !code.ends_with("doc=") {
                        self.literals.push((line, literal.to_string()));
                    }
                }
            }
        }
    }

    fn push(&mut self, line: usize, token: &str) {
        let code = self.lines.entry(line).or_default();
        if code.ends_with(is_word) && token.starts_with(is_word) {
            code.push(' ');
        }
        code.push_str(token);
    }
}

/// Whether a line contains a word, and not as a part of a longer one.
pub(crate) fn contains(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let (before, rest) = line.split_at(start);
        let after = rest.strip_prefix(word).unwrap_or(rest);
        let begins = !(before.ends_with(is_word) && word.starts_with(is_word));
        let ends = !(after.starts_with(is_word) && word.ends_with(is_word));
        begins && ends
    })
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}
