//! What is not trusted any more. It is claimed under the time at which it was revoked, so the store keeps an index of it
//! in the transaction that revokes, and what still matters is one range of that index.

use std::{fmt::Display, str::FromStr};

use chassis::{ClaimRange, Timestamp, base::time};

/// Scope of the sessions that ended.
pub(crate) const SESSIONS: &str = "revoked-session";
/// Scope of the members whose earlier tokens are not good any more.
pub(crate) const MEMBERS: &str = "revoked-member";

/// The key under which something is revoked.
pub(crate) fn key(at: Timestamp, id: impl Display) -> String {
    format!("{}/{id}", place(at))
}

/// What was revoked at a time or later.
pub(crate) fn since(scope: &str, at: Timestamp) -> ClaimRange {
    ClaimRange::range(scope, place(at), ":")
}

/// The time and the id in a key.
pub(crate) fn read<I: FromStr>(key: &str) -> Option<(Timestamp, I)> {
    let (at, id) = key.split_once('/')?;
    Some((time::from_micros(at.parse().ok()?), id.parse().ok()?))
}

/// A time in an order that text has too.
fn place(at: Timestamp) -> String {
    format!("{:020}", time::to_micros(at).max(0))
}

#[cfg(test)]
mod tests {
    use chassis::{MemberId, base::time::SignedDuration};
    use chassis_testing::noon;

    use super::*;

    #[test]
    fn a_key_is_read_back() {
        let id = MemberId::from_u128(7);
        assert_eq!(read(&key(noon(), id)), Some((noon(), id)));
        assert_eq!(read::<MemberId>("x/y"), None);
    }

    #[test]
    fn a_range_holds_what_is_not_older() {
        let look = since(MEMBERS, noon());
        let holds = |by: i64| {
            let at = noon().checked_add(SignedDuration::from_micros(by)).unwrap();
            let key = key(at, MemberId::from_u128(7));
            look.from <= key && key < look.to
        };
        assert!(!holds(-1));
        assert!(holds(0));
        assert!(holds(i64::from(i32::MAX) * 1_000_000));
    }
}
