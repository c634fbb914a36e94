//! A bounded memory of what was worked out lately.

use std::{
    collections::HashMap,
    hash::Hash,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Remembers at most so many values; what was not asked for lately is forgotten first.
///
/// Two generations: when the young one is full, it becomes the old one and the old one is dropped; what is asked for
/// moves back to the young one.
pub(super) struct Recent<K, V> {
    half: usize,
    kept: Mutex<Generations<K, V>>,
}

struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Copy + Eq + Hash, V: Clone> Recent<K, V> {
    pub(super) fn at_most(bound: usize) -> Self {
        Self {
            half: bound / 2,
            kept: Mutex::new(Generations {
                young: HashMap::new(),
                old: HashMap::new(),
            }),
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let mut kept = self.lock();
        if let Some(value) = kept.young.get(key) {
            return Some(value.clone());
        }
        let value = kept.old.remove(key)?;
        kept.put(self.half, *key, value.clone());
        Some(value)
    }

    pub(super) fn put(&self, key: K, value: V) {
        self.lock().put(self.half, key, value);
    }

    pub(super) fn forget(&self, key: &K) {
        let mut kept = self.lock();
        kept.young.remove(key);
        kept.old.remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, Generations<K, V>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash, V> Generations<K, V> {
    fn put(&mut self, half: usize, key: K, value: V) {
        if self.young.len() >= half {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::Recent;

    #[test]
    fn what_is_asked_for_is_kept_and_the_rest_forgotten() {
        let recent = Recent::at_most(8);
        recent.put(0, "kept");
        for n in 1..1000 {
            recent.put(n, "");
            assert_eq!(recent.get(&0), Some("kept"));
            let kept = recent.lock();
            assert!(kept.young.len() + kept.old.len() <= 8);
        }
        assert_eq!(recent.get(&1), None);
        recent.forget(&0);
        assert_eq!(recent.get(&0), None);
    }
}
