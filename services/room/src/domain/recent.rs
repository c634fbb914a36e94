//! A short memory: what was heard last, so that a repeat or a straggler is known as one.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// How much is remembered. Events of one reservation come in order and once, so even one would do on a good day.
const MEMORY: usize = 64;

/// The last things that were noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Recent<T>(VecDeque<T>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: PartialEq> Recent<T> {
    /// Whether something is remembered.
    pub(crate) fn has(&self, thing: &T) -> bool {
        self.0.contains(thing)
    }

    /// Remembers something, and forgets the oldest if that is too much.
    pub(crate) fn note(&mut self, thing: T) {
        self.0.push_back(thing);
        if self.0.len() > MEMORY {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_is_forgotten() {
        let mut recent = Recent::default();
        for n in 0..=MEMORY {
            recent.note(n);
        }
        assert!(!recent.has(&0) && recent.has(&1) && recent.has(&MEMORY));
    }
}
