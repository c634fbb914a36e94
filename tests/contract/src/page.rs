//! Generated parts of a page: each is between two comment lines with its name.
use anyhow::{Context, Result};

fn begin(name: &str) -> String {
    format!("<!-- {name}:begin -->\n")
}

fn end(name: &str) -> String {
    format!("<!-- {name}:end -->\n")
}

/// A part of a page.
pub fn found<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&begin(name))?;
    Some(rest.split_once(&end(name))?.0)
}

/// A page with one part replaced.
pub fn replaced(text: &str, name: &str, part: &str) -> Result<String> {
    let (begin, end) = (begin(name), end(name));
    let (before, rest) = text
        .split_once(&begin)
        .with_context(|| format!("no place for {name}"))?;
    let (_, after) = rest
        .split_once(&end)
        .with_context(|| format!("{name} does not end"))?;
    Ok(format!("{before}{begin}{part}{end}{after}"))
}
