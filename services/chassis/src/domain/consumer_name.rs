//! Which consumer is meant.

use std::fmt;

/// The name of a consumer. Its cursors, its dead letters and its durable consumer at the broker are kept under it, so it is
/// never changed.
///
/// A context has one for its policies, named like the context, and one for its views, `<context>.views`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerName(String);

impl ConsumerName {
    /// The consumer that gives commands to the aggregates of a context.
    pub fn of_policies(context: &str) -> Self {
        Self(context.to_owned())
    }

    /// The consumer that writes the views of a context.
    pub fn of_views(context: &str) -> Self {
        Self(format!("{context}.views"))
    }

    /// The consumer that writes a new generation of the views of a context.
    pub fn of_rebuild(context: &str, generation: i64) -> Self {
        Self(format!("{context}.rebuild.{generation}"))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it belongs to a context.
    pub fn belongs_to(&self, context: &str) -> bool {
        let rest = self.0.strip_prefix(context);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

impl From<&str> for ConsumerName {
    /// A name that was stored or received.
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl fmt::Display for ConsumerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_belongs_to_the_context_that_it_is_named_after() {
        let names = [
            ConsumerName::of_policies("view"),
            ConsumerName::of_views("view"),
            ConsumerName::of_rebuild("view", 3),
        ];
        for name in names {
            assert!(name.belongs_to("view"), "{name}");
            assert!(!name.belongs_to("vie"), "{name}");
            assert!(!name.belongs_to("room"), "{name}");
        }
        assert!(!ConsumerName::of_policies("viewer").belongs_to("view"));
    }
}
