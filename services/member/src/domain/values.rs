//! Value types: ids, roles, e-mail addresses, hashes, failed attempts.

use std::{fmt, str::FromStr};

use chassis::{Timestamp, base::time::SignedDuration};
use serde::{Deserialize, Serialize};

use super::Refusal;

chassis::id! {
    /// A session, from sign-in to sign-out.
    SessionId,
    /// A key that signs access tokens.
    KeyId,
}

/// A role of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Role {
    /// Books and pays.
    Customer,
    /// Offers rooms as a host.
    Host,
    /// Operates the platform.
    Admin,
}

/// Secret text. It is stored, but its `Debug` output hides it, so it gets into no log and no error.
macro_rules! secrets {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub(crate) struct $name(pub(crate) String);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )+};
}

secrets! {
    /// A password hash in PHC string format. Opaque here.
    PasswordHash,
    /// Hash of a secret of a refresh token.
    TokenHash,
}

/// An e-mail address in lower case. Addresses that differ in case only are equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Email(String);

/// The text is not an e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an e-mail address of at most 254 characters")]
pub(crate) struct InvalidEmail;

impl Email {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let address = text.to_lowercase();
        let is_forbidden =
            |c: char| c.is_whitespace() || c.is_control() || "()<>[],;:\\\"".contains(c);
        if address.chars().count() > 254 || address.contains(is_forbidden) {
            return Err(InvalidEmail);
        }
        let (local, domain) = address.split_once('@').ok_or(InvalidEmail)?;
        let is_label = |label: &str| !label.is_empty() && !label.starts_with('-');
        let is_domain = domain == "localhost"
            || (domain.contains('.') && !domain.contains('@') && domain.split('.').all(is_label));
        if local.is_empty() || !is_domain {
            return Err(InvalidEmail);
        }
        Ok(Self(address))
    }
}

/// The result of checking a password against a stored hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PasswordCheck {
    /// The hash that it was checked against.
    pub(crate) against: PasswordHash,
    /// Whether the password matches the hash.
    pub(crate) matches: bool,
}

/// The times of recent failed attempts. Ten within 15 minutes are the limit: further attempts are refused until the
/// first of the ten is 15 minutes old.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct FailedAttempts(Vec<Timestamp>);

impl FailedAttempts {
    const LIMIT: usize = 10;
    const WINDOW: SignedDuration = SignedDuration::from_mins(15);

    /// Refuses if the limit is reached.
    pub(crate) fn check(&self, now: Timestamp) -> Result<(), Refusal> {
        let mut recent = self.0.iter().filter(|at| Self::is_recent(**at, now));
        let first = recent.next().copied();
        match first {
            Some(first) if 1 + recent.count() >= Self::LIMIT => Err(Refusal::TooManyAttempts {
                until: first.saturating_add(Self::WINDOW).unwrap_or(first),
            }),
            _ => Ok(()),
        }
    }

    /// Adds an attempt and drops those outside of the window.
    #[must_use]
    pub(crate) fn and(mut self, now: Timestamp) -> Self {
        self.0.retain(|at| Self::is_recent(*at, now));
        self.0.push(now);
        self
    }

    /// The time of the last attempt.
    pub(crate) fn last(&self) -> Option<Timestamp> {
        self.0.last().copied()
    }

    /// Whether no attempt is recorded.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an attempt is within the window. If the clock was set back, it is.
    pub(crate) fn is_recent(at: Timestamp, now: Timestamp) -> bool {
        now.duration_since(at) < Self::WINDOW
    }
}

#[cfg(test)]
mod tests {
    use chassis_testing::noon;

    use super::*;

    fn minutes(n: i64) -> Timestamp {
        noon().checked_add(SignedDuration::from_mins(n)).unwrap()
    }

    #[test]
    fn an_email_address_is_converted_to_lower_case() {
        let email: Email = "Ann.Lee@Example.ORG".parse().unwrap();
        assert_eq!(email.as_str(), "ann.lee@example.org");
    }

    #[test]
    fn valid_email_addresses_are_accepted() {
        let long = format!("{}@{}.org", "a".repeat(64), "b".repeat(185));
        assert_eq!(long.len(), 254);
        for valid in [
            "a@b.c",
            "root@localhost",
            "jürgen@müller.de",
            "a+b@c-d.e.f",
            &long,
        ] {
            assert!(valid.parse::<Email>().is_ok(), "{valid}");
        }
    }

    #[test]
    fn invalid_email_addresses_are_rejected() {
        let long = format!("{}@{}.org", "a".repeat(64), "b".repeat(186));
        for invalid in [
            "",
            "@",
            "a",
            "a@",
            "@b.c",
            "a@b",
            "a@b@c.d",
            "a b@c.d",
            "a@c.d ",
            "a@c.d\n",
            "a\0@c.d",
            "a@.c",
            "a@c.",
            "a@c..d",
            "a@-c.d",
            "<a@c.d>",
            "a@c.d,b@c.d",
            &long,
        ] {
            assert_eq!(invalid.parse::<Email>(), Err(InvalidEmail), "{invalid:?}");
        }
    }

    #[test]
    fn ten_attempts_within_15_minutes_reach_the_limit() {
        let nine = (0..9).fold(FailedAttempts::default(), |attempts, n| {
            attempts.and(minutes(n))
        });
        assert_eq!(nine.check(minutes(9)), Ok(()));
        let ten = nine.and(minutes(9));
        let until = minutes(15);
        assert_eq!(
            ten.check(minutes(14)),
            Err(Refusal::TooManyAttempts { until })
        );
        assert_eq!(ten.check(minutes(15)), Ok(()));
        assert_eq!(
            ten.and(minutes(15)).check(minutes(15)),
            Err(Refusal::TooManyAttempts { until: minutes(16) })
        );
    }

    #[test]
    fn attempts_outside_of_the_window_are_dropped() {
        let many = (0..1000).fold(FailedAttempts::default(), |attempts, n| {
            attempts.and(minutes(n))
        });
        assert_eq!(many.0.len(), 15);
        assert_eq!(many.and(minutes(5000)).0.len(), 1);
    }

    #[test]
    fn debug_output_hides_secrets() {
        let shown = format!(
            "{:?} {:?}",
            PasswordHash("canary".into()),
            TokenHash("canary".into())
        );
        assert_eq!(shown, "PasswordHash(…) TokenHash(…)");
    }
}
