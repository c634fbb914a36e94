//! Which event log is meant.

use std::fmt;

/// The event log of a context. A context has one; it is named like the context.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(String);

impl LogId {
    /// The log of a context.
    pub fn of(context: impl Into<String>) -> Self {
        Self(context.into())
    }

    /// The context that writes it.
    pub fn context(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
