//! Small values: what a member may do, addresses, hashes, wrong passwords.

use std::{fmt, str::FromStr};

use chassis::{Timestamp, base::time::SignedDuration};
use serde::{Deserialize, Serialize};

use super::Refusal;

chassis::id! {
    /// A session: the time from a sign-in to a sign-out.
    SessionId,
    /// A key that signs access tokens.
    KeyId,
}

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Role {
    /// Books and pays.
    Customer,
    /// Offers rooms.
    Host,
    /// Operates the platform.
    Admin,
}

/// Text that opens something. It is stored, and shown to nobody: not in a log, not in an error.
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
    /// A hashed password in the form of the Password Hashing Competition. Opaque here.
    PasswordHash,
    /// A hashed part of a refresh token.
    TokenHash,
    /// The secret half of a signing key, base64url.
    Seed,
}

/// An e-mail address, in lower case: two addresses that differ in case only are one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Email(String);

/// The text is not an e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an e-mail address of at most 254 characters")]
pub(crate) struct NotAnEmail;

impl Email {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = NotAnEmail;

    fn from_str(text: &str) -> Result<Self, NotAnEmail> {
        let address = text.to_lowercase();
        let strange = |c: char| c.is_whitespace() || c.is_control() || "()<>[],;:\\\"".contains(c);
        if address.chars().count() > 254 || address.contains(strange) {
            return Err(NotAnEmail);
        }
        let (local, domain) = address.split_once('@').ok_or(NotAnEmail)?;
        let label = |label: &str| !label.is_empty() && !label.starts_with('-');
        let domain_is_good = domain == "localhost"
            || (domain.contains('.') && !domain.contains('@') && domain.split('.').all(label));
        if local.is_empty() || !domain_is_good {
            return Err(NotAnEmail);
        }
        Ok(Self(address))
    }
}

/// What came of checking a password against a stored hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    /// The hash it was checked against.
    pub(crate) against: PasswordHash,
    /// Whether it was the right one.
    pub(crate) good: bool,
}

/// Wrong passwords of late. After ten within 15 minutes nobody listens until the first of them is 15 minutes old.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Attempts(Vec<Timestamp>);

impl Attempts {
    const LIMIT: usize = 10;
    const WINDOW: SignedDuration = SignedDuration::from_mins(15);

    /// Refuses if there were too many by now.
    pub(crate) fn check(&self, now: Timestamp) -> Result<(), Refusal> {
        let mut late = self.0.iter().filter(|at| Self::is_late(**at, now));
        let first = late.next().copied();
        match first {
            Some(first) if 1 + late.count() >= Self::LIMIT => Err(Refusal::TooManyAttempts {
                until: first.saturating_add(Self::WINDOW).unwrap_or(first),
            }),
            _ => Ok(()),
        }
    }

    /// One more.
    #[must_use]
    pub(crate) fn and(mut self, now: Timestamp) -> Self {
        self.0.retain(|at| Self::is_late(*at, now));
        self.0.push(now);
        self
    }

    /// When the last one was.
    pub(crate) fn last(&self) -> Option<Timestamp> {
        self.0.last().copied()
    }

    /// Whether there were none, or they were forgotten.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one still counts. Where the clock was turned back it does.
    pub(crate) fn is_late(at: Timestamp, now: Timestamp) -> bool {
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
    fn an_address_is_one_whatever_its_case() {
        let email: Email = "Ann.Lee@Example.ORG".parse().unwrap();
        assert_eq!(email.as_str(), "ann.lee@example.org");
    }

    #[test]
    fn addresses_are_taken() {
        let long = format!("{}@{}.org", "a".repeat(64), "b".repeat(185));
        assert_eq!(long.len(), 254);
        for good in [
            "a@b.c",
            "root@localhost",
            "jürgen@müller.de",
            "a+b@c-d.e.f",
            &long,
        ] {
            assert!(good.parse::<Email>().is_ok(), "{good}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@{}.org", "a".repeat(64), "b".repeat(186));
        for bad in [
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
            assert_eq!(bad.parse::<Email>(), Err(NotAnEmail), "{bad:?}");
        }
    }

    #[test]
    fn ten_wrong_passwords_within_15_minutes_are_too_many() {
        let nine = (0..9).fold(Attempts::default(), |attempts, n| attempts.and(minutes(n)));
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
    fn old_wrong_passwords_are_forgotten() {
        let many = (0..1000).fold(Attempts::default(), |attempts, n| attempts.and(minutes(n)));
        assert_eq!(many.0.len(), 15);
        assert_eq!(many.and(minutes(5000)).0.len(), 1);
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!(
            "{:?} {:?} {:?}",
            PasswordHash("canary".into()),
            TokenHash("canary".into()),
            Seed("canary".into())
        );
        assert_eq!(shown, "PasswordHash(…) TokenHash(…) Seed(…)");
    }
}
