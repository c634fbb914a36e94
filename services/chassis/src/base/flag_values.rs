//! Parsers of flag values: durations and counts.

use std::time::Duration;

use crate::base::time::SignedDuration;

/// A duration such as `500ms`, `10s` or `1h 30m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = "must be a time such as 500ms, 10s or 30m";
    let parsed: SignedDuration = text.parse().map_err(|_| wrong.to_owned())?;
    Duration::try_from(parsed).map_err(|_| wrong.to_owned())
}

pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number >= 1 => Ok(number),
        _ => Err("must be a number from 1".to_owned()),
    }
}
