//! Value types: ids, roles, e-mail addresses, hashes.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

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
    /// The private part of a signing key, base64url.
    Seed,
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn debug_output_hides_secrets() {
        let shown = format!(
            "{:?} {:?} {:?}",
            PasswordHash("canary".into()),
            TokenHash("canary".into()),
            Seed("canary".into())
        );
        assert_eq!(shown, "PasswordHash(…) TokenHash(…) Seed(…)");
    }
}
