//! Page tokens: where the next page begins, opaque to those who carry them.
//!
//! A token holds the sort key of the last line of a page, never a number of lines, so lines that come and go elsewhere
//! neither repeat nor skip one that stays.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

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

/// The sort key in a token; none if it is no token with this many parts.
pub fn parse<const N: usize>(token: &str) -> Option<[String; N]> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_page_has_a_next_one() {
        let last = |line: &i32| token([&line.to_string()]);
        assert_eq!(cut(vec![1, 2, 3], 3, last), (vec![1, 2, 3], String::new()));
        assert_eq!(cut(vec![1, 2, 3], 2, last), (vec![1, 2], token(["2"])));
        assert_eq!(cut(Vec::new(), 2, last), (vec![], String::new()));
    }
}
