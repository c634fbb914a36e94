//! Addresses that nobody has: wrong passwords for them are counted too, so that the count does not tell who is a member.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chassis::Timestamp;
use sha2::{Digest, Sha256};

use crate::domain::{
    Refusal,
    values::{Attempts, Email},
};

/// At most so many are remembered; then those of the longest ago are forgotten.
const LIMIT: usize = 10_000;

/// Wrong passwords for unknown addresses, of late, in this process. Addresses are kept as hashes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strangers(Arc<Mutex<BTreeMap<[u8; 32], Attempts>>>);

impl Strangers {
    /// Refuses if there were too many.
    pub(crate) fn check(&self, email: &Email, now: Timestamp) -> Result<(), Refusal> {
        let known = self.known();
        known
            .get(&key(email))
            .map_or(Ok(()), |attempts| attempts.check(now))
    }

    /// Counts a wrong password, unless there were too many.
    pub(crate) fn count(&self, email: &Email, now: Timestamp) -> Result<(), Refusal> {
        let mut known = self.known();
        let attempts = known.remove(&key(email)).unwrap_or_default();
        let counted = attempts.check(now);
        let attempts = if counted.is_ok() {
            attempts.and(now)
        } else {
            attempts
        };
        if known.len() >= LIMIT {
            known
                .retain(|_, attempts| attempts.last().is_some_and(|at| Attempts::is_late(at, now)));
        }
        if known.len() >= LIMIT {
            let oldest = known.iter().min_by_key(|(_, attempts)| attempts.last());
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                known.remove(&oldest);
            }
        }
        known.insert(key(email), attempts);
        counted
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<[u8; 32], Attempts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(email: &Email) -> [u8; 32] {
    Sha256::digest(email.as_str()).into()
}

#[cfg(test)]
mod tests {
    use chassis::base::time::SignedDuration;
    use chassis_testing::noon;

    use super::*;

    #[test]
    fn the_eleventh_wrong_password_is_not_listened_to() {
        let (strangers, email) = (Strangers::default(), "a@b.c".parse().unwrap());
        for _ in 0..10 {
            assert_eq!(strangers.check(&email, noon()), Ok(()));
            assert_eq!(strangers.count(&email, noon()), Ok(()));
        }
        let until = noon().checked_add(SignedDuration::from_mins(15)).unwrap();
        let refused = Err(Refusal::TooManyAttempts { until });
        assert_eq!(strangers.check(&email, noon()), refused);
        assert_eq!(strangers.count(&email, noon()), refused);
        assert_eq!(strangers.check(&email, until), Ok(()));
        assert_eq!(strangers.check(&"b@b.c".parse().unwrap(), noon()), Ok(()));
    }

    #[test]
    fn only_so_many_are_remembered() {
        let strangers = Strangers::default();
        for n in 0..LIMIT + 10 {
            let email = format!("a{n}@b.c").parse().unwrap();
            let at = SignedDuration::from_micros(i64::try_from(n).unwrap());
            let now = noon().checked_add(at).unwrap();
            strangers.count(&email, now).unwrap();
        }
        assert_eq!(strangers.known().len(), LIMIT);
        assert!(
            strangers
                .known()
                .contains_key(&key(&"a10@b.c".parse().unwrap()))
        );
        assert!(
            !strangers
                .known()
                .contains_key(&key(&"a9@b.c".parse().unwrap()))
        );
    }
}
