//! Counts failed sign-ins with unknown e-mail addresses. They are limited exactly like wrong passwords of an account,
//! so that the limit does not reveal which addresses have an account.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chassis::Timestamp;
use sha2::{Digest, Sha256};

use crate::domain::{
    Refusal,
    values::{Email, FailedAttempts},
};

/// Maximum number of addresses kept in memory. Beyond it, the address with the oldest attempt is dropped.
const LIMIT: usize = 10_000;

/// Recent failed sign-ins by unknown address, in this process only. Addresses are kept as hashes.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnknownEmailThrottle(Arc<Mutex<BTreeMap<[u8; 32], FailedAttempts>>>);

impl UnknownEmailThrottle {
    /// Refuses if there were too many failed attempts.
    pub(crate) fn check(&self, email: &Email, now: Timestamp) -> Result<(), Refusal> {
        let all = self.attempts();
        all.get(&key(email))
            .map_or(Ok(()), |attempts| attempts.check(now))
    }

    /// Counts a failed attempt, unless there were too many.
    pub(crate) fn count(&self, email: &Email, now: Timestamp) -> Result<(), Refusal> {
        let mut all = self.attempts();
        let attempts = all.remove(&key(email)).unwrap_or_default();
        let counted = attempts.check(now);
        let attempts = if counted.is_ok() {
            attempts.and(now)
        } else {
            attempts
        };
        if all.len() >= LIMIT {
            all.retain(|_, attempts| {
                attempts
                    .last()
                    .is_some_and(|at| FailedAttempts::is_recent(at, now))
            });
        }
        if all.len() >= LIMIT {
            let oldest = all.iter().min_by_key(|(_, attempts)| attempts.last());
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                all.remove(&oldest);
            }
        }
        all.insert(key(email), attempts);
        counted
    }

    fn attempts(&self) -> MutexGuard<'_, BTreeMap<[u8; 32], FailedAttempts>> {
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
    fn the_eleventh_attempt_within_15_minutes_is_refused() {
        let (throttle, email) = (UnknownEmailThrottle::default(), "a@b.c".parse().unwrap());
        for _ in 0..10 {
            assert_eq!(throttle.check(&email, noon()), Ok(()));
            assert_eq!(throttle.count(&email, noon()), Ok(()));
        }
        let until = noon().checked_add(SignedDuration::from_mins(15)).unwrap();
        let refused = Err(Refusal::TooManyAttempts { until });
        assert_eq!(throttle.check(&email, noon()), refused);
        assert_eq!(throttle.count(&email, noon()), refused);
        assert_eq!(throttle.check(&email, until), Ok(()));
        assert_eq!(throttle.check(&"b@b.c".parse().unwrap(), noon()), Ok(()));
    }

    #[test]
    fn beyond_the_limit_the_oldest_address_is_dropped() {
        let throttle = UnknownEmailThrottle::default();
        for n in 0..LIMIT + 10 {
            let email = format!("a{n}@b.c").parse().unwrap();
            let at = SignedDuration::from_micros(i64::try_from(n).unwrap());
            let now = noon().checked_add(at).unwrap();
            throttle.count(&email, now).unwrap();
        }
        assert_eq!(throttle.attempts().len(), LIMIT);
        assert!(
            throttle
                .attempts()
                .contains_key(&key(&"a10@b.c".parse().unwrap()))
        );
        assert!(
            !throttle
                .attempts()
                .contains_key(&key(&"a9@b.c".parse().unwrap()))
        );
    }
}
