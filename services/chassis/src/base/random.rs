//! Chance: secrets and new ids, from the operating system's random numbers.

use std::time::Duration;

use rand::{TryRngCore, rngs::OsRng};
use uuid::Uuid;

/// Random bytes that nobody can guess, for keys and tokens.
#[expect(
    clippy::expect_used,
    reason = "a system without random numbers can keep no secret: going on would be worse"
)]
pub fn secret<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    OsRng
        .try_fill_bytes(&mut bytes)
        .expect("the operating system gives random numbers");
    bytes
}

/// A new id: `chance::id::<MemberId>()`.
pub fn id<I: From<Uuid>>() -> I {
    uuid::Builder::from_random_bytes(secret())
        .into_uuid()
        .into()
}

/// A time to wait, between half of what is given and all of it, so that those who wait do not come back together.
pub(crate) fn within(most: Duration) -> Duration {
    let [byte] = secret();
    most / 2 + most / 2 * u32::from(byte) / u32::from(u8::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::base::id::MemberId;

    #[test]
    fn who_waits_waits_between_half_and_all() {
        let most = Duration::from_millis(100);
        let waits: Vec<_> = (0..200).map(|_| super::within(most)).collect();
        assert!(waits.iter().all(|wait| (most / 2..=most).contains(wait)));
        assert!(waits.iter().any(|wait| *wait != waits[0]));
    }

    #[test]
    fn no_two_are_the_same() {
        assert_ne!(super::secret::<32>(), super::secret::<32>());
        assert_ne!(super::id::<MemberId>(), super::id::<MemberId>());
    }
}
