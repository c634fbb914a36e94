//! Chance: secrets and new ids, from the operating system's random numbers.

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

#[cfg(test)]
mod tests {
    use crate::id::MemberId;

    #[test]
    fn no_two_are_the_same() {
        assert_ne!(super::secret::<32>(), super::secret::<32>());
        assert_ne!(super::id::<MemberId>(), super::id::<MemberId>());
    }
}
