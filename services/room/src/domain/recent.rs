//! A bounded set of recent values, to recognise repeated and late events.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Number of values kept. Events of one reservation arrive in order and exactly once, so few are needed.
const CAPACITY: usize = 64;

/// The most recent values, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Recent<T>(VecDeque<T>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: PartialEq> Recent<T> {
    pub(crate) fn contains(&self, value: &T) -> bool {
        self.0.contains(value)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a value. Drops the oldest beyond the capacity, and returns whether it did.
    pub(crate) fn push(&mut self, value: T) -> bool {
        self.0.push_back(value);
        self.0.len() > CAPACITY && self.0.pop_front().is_some()
    }

    /// Removes a value. False if it is not there.
    pub(crate) fn remove(&mut self, value: &T) -> bool {
        let index = self.0.iter().position(|other| other == value);
        index.is_some_and(|index| self.0.remove(index).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_capacity_the_oldest_value_is_dropped() {
        let mut recent = Recent::default();
        for n in 0..=CAPACITY {
            assert_eq!(recent.push(n), n == CAPACITY);
        }
        assert!(recent.remove(&7) && !recent.remove(&7) && !recent.remove(&0));
        assert!(!recent.contains(&0) && recent.contains(&1) && recent.contains(&CAPACITY));
    }
}
