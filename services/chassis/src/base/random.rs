//! Secrets and new ids, from the operating system's random numbers.

use std::time::Duration;

use rand::{TryRngCore, rngs::OsRng};
use uuid::Uuid;

/// Random bytes that cannot be guessed, for keys and tokens.
#[expect(
    clippy::expect_used,
    reason = "without random numbers there are no secrets, and continuing would be worse than a panic"
)]
pub fn secret<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    OsRng
        .try_fill_bytes(&mut bytes)
        .expect("the operating system gives random numbers");
    bytes
}

/// A new id: `random::id::<MemberId>()`.
pub fn id<I: From<Uuid>>() -> I {
    uuid::Builder::from_random_bytes(secret())
        .into_uuid()
        .into()
}

/// A random delay between half of `max` and `max`, so that waiting callers do not all retry at once.
pub(crate) fn within(max: Duration) -> Duration {
    let [byte] = secret();
    max / 2 + max / 2 * u32::from(byte) / u32::from(u8::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::base::id::MemberId;

    #[test]
    fn a_delay_is_between_half_and_the_maximum() {
        let max = Duration::from_millis(100);
        let waits: Vec<_> = (0..200).map(|_| super::within(max)).collect();
        assert!(waits.iter().all(|wait| (max / 2..=max).contains(wait)));
        assert!(waits.iter().any(|wait| *wait != waits[0]));
    }

    #[test]
    fn no_two_values_are_equal() {
        assert_ne!(super::secret::<32>(), super::secret::<32>());
        assert_ne!(super::id::<MemberId>(), super::id::<MemberId>());
    }
}
