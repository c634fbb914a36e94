//! Revocations. A revoked session or member holds a claim whose key begins with the time of the revocation. The claims
//! are written in the transaction that revokes, and all revocations since a time are one range of them.

use std::{fmt::Display, str::FromStr};

use chassis::{
    ClaimRange, Timestamp,
    base::time::{self, SignedDuration},
    security::claims::LONGEST_LIFE,
};

/// How long a revocation or a retired key is published: until no access token that it concerns is valid, whatever lifetime
/// was configured when the token was issued. The clocks of two machines may differ by ten minutes.
pub(crate) const RETENTION: SignedDuration =
    LONGEST_LIFE.saturating_add(SignedDuration::from_mins(10));

/// Claim scope of ended sessions.
pub(crate) const SESSIONS: &str = "revoked-session";
/// Claim scope of members whose earlier access tokens are revoked.
pub(crate) const MEMBERS: &str = "revoked-member";

/// The claim key of a revocation.
pub(crate) fn key(at: Timestamp, id: impl Display) -> String {
    format!("{}/{id}", sortable(at))
}

/// The claims of the revocations at `at` or later.
pub(crate) fn since(scope: &str, at: Timestamp) -> ClaimRange {
    ClaimRange::range(scope, sortable(at), ":")
}

/// The time and the id of a claim key.
pub(crate) fn read<I: FromStr>(key: &str) -> Option<(Timestamp, I)> {
    let (at, id) = key.split_once('/')?;
    Some((time::from_micros(at.parse().ok()?), id.parse().ok()?))
}

/// A time as text that sorts like the time.
fn sortable(at: Timestamp) -> String {
    format!("{:020}", time::to_micros(at).max(0))
}

#[cfg(test)]
mod tests {
    use chassis::{MemberId, base::time::SignedDuration};
    use chassis_testing::noon;

    use super::*;

    #[test]
    fn a_claim_key_survives_the_round_trip() {
        let id = MemberId::from_u128(7);
        assert_eq!(read(&key(noon(), id)), Some((noon(), id)));
        assert_eq!(read::<MemberId>("x/y"), None);
    }

    #[test]
    fn a_range_holds_the_revocations_since_a_time() {
        let range = since(MEMBERS, noon());
        let holds = |by: i64| {
            let at = noon().checked_add(SignedDuration::from_micros(by)).unwrap();
            let key = key(at, MemberId::from_u128(7));
            range.from <= key && key < range.to
        };
        assert!(!holds(-1));
        assert!(holds(0));
        assert!(holds(i64::from(i32::MAX) * 1_000_000));
    }
}
