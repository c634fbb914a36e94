//! Page tokens: where the next page begins, opaque to clients.
//!
//! A token holds the sort key of the last row of a page, never an offset, so no row is repeated or skipped when other rows
//! are inserted or removed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// The longest token, in bytes.
const MAX: usize = 4096;

/// The token of the page after the row with this sort key.
pub fn token<const N: usize>(key: [&str; N]) -> String {
    let parts = serde_json::Value::from_iter(key);
    URL_SAFE_NO_PAD.encode(parts.to_string())
}

/// One page of the rows found, and the token of the next page. `found` has one row more than `size` if there is one.
pub fn cut<T>(mut found: Vec<T>, size: i64, token: impl FnOnce(&T) -> String) -> (Vec<T>, String) {
    let size = usize::try_from(size).unwrap_or(0);
    if found.len() <= size {
        return (found, String::new());
    }
    found.truncate(size);
    let next = found.last().map_or_else(String::new, token);
    (found, next)
}

/// The sort key in a token; none if the text is not a token with this many parts.
pub fn parse<const N: usize>(token: &str) -> Option<[String; N]> {
    if token.len() > MAX {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let parts: Vec<String> = serde_json::from_slice(&bytes).ok()?;
    if parts.iter().any(|part| part.contains('\0')) {
        return None;
    }
    parts.try_into().ok()
}
