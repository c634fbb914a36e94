//! Page tokens: where the next page begins, opaque to those who carry them.
//!
//! A token holds the sort key of the last line of a page, never a number of lines, so lines that come and go elsewhere
//! neither repeat nor skip one that stays.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::violations::Violations;

/// No honest token is longer.
const LENGTH: usize = 4096;

/// The token of the page after the line with this sort key.
pub fn token<const N: usize>(key: [&str; N]) -> String {
    let parts = serde_json::Value::from_iter(key);
    URL_SAFE_NO_PAD.encode(parts.to_string())
}

/// One page of what was found, and the token of the next one: `found` has one line more than `size` if there is one.
pub fn cut<T>(mut found: Vec<T>, size: i64, token: impl FnOnce(&T) -> String) -> (Vec<T>, String) {
    let size = usize::try_from(size).unwrap_or(0);
    if found.len() <= size {
        return (found, String::new());
    }
    found.truncate(size);
    let next = found.last().map_or_else(String::new, token);
    (found, next)
}

fn parse<const N: usize>(token: &str) -> Option<[String; N]> {
    if token.len() > LENGTH {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let parts: Vec<String> = serde_json::from_slice(&bytes).ok()?;
    if parts.iter().any(|part| part.contains('\0')) {
        return None;
    }
    parts.try_into().ok()
}

impl Violations {
    /// Takes a page token: the sort key after which the page begins. None for the first page.
    pub fn page_token<const N: usize>(&mut self, token: &str) -> Option<[String; N]> {
        if token.is_empty() {
            return None;
        }
        let key = parse(token);
        if key.is_none() {
            self.add("page_token", "must be the next_page_token of a page");
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_page_has_a_next_one() {
        let last = |line: &i32| token([&line.to_string()]);
        assert_eq!(cut(vec![1, 2, 3], 3, last), (vec![1, 2, 3], String::new()));
        assert_eq!(cut(vec![1, 2, 3], 2, last), (vec![1, 2], token(["2"])));
        assert_eq!(cut(Vec::new(), 2, last), (vec![], String::new()));
    }

    #[test]
    fn the_first_page_needs_no_token() {
        let mut violations = Violations::new();
        assert_eq!(violations.page_token::<2>(""), None);
        assert!(violations.is_empty());
    }

    proptest! {
        #[test]
        fn a_token_brings_its_key_back(a in "[^\0]{0,200}", b in "[^\0]{0,36}") {
            let mut violations = Violations::new();
            prop_assert_eq!(violations.page_token(&token([&a, &b])), Some([a, b]));
            prop_assert!(violations.is_empty());
        }

        #[test]
        fn what_is_no_token_is_refused(text in ".{1,80}") {
            let mut violations = Violations::new();
            prop_assert_eq!(violations.page_token::<2>(&text), None);
            prop_assert!(!violations.is_empty());
            prop_assert_eq!(violations.page_token::<3>(&token(["a", "b"])), None);
            prop_assert_eq!(violations.page_token::<1>(&token(["a\0"])), None);
        }
    }
}
