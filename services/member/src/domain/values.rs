//! Value types: ids, roles, e-mail addresses, hashes.

use std::{fmt, str::FromStr};

use chassis::base::text::identifier;
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
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
}

/// An e-mail address as it is compared: in lower case and compatibility form, with the domain in its ASCII form. So
/// addresses that look alike, or reach the same mailbox, are equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Email(String);

/// The text is not an e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an e-mail address of at most 254 characters")]
pub(crate) struct InvalidEmail;

impl Email {
    const MAX_LENGTH: usize = 254;

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the `@`.
    pub(crate) fn local_part(&self) -> &str {
        self.0.split('@').next().unwrap_or_default()
    }
}

impl FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let is_short = |text: &str| text.chars().count() <= Self::MAX_LENGTH;
        let address = Some(text)
            .filter(|text| is_short(text))
            .and_then(identifier);
        let address = address.ok_or(InvalidEmail)?;
        let (local, domain) = address.split_once('@').ok_or(InvalidEmail)?;
        if local.is_empty() || local.contains(|c| "()<>[],;:\\\"".contains(c)) {
            return Err(InvalidEmail);
        }
        let domain = Uts46::new().to_ascii(
            domain.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
            DnsLength::Verify,
        );
        let domain = domain.map_err(|_| InvalidEmail)?;
        let address = format!("{local}@{domain}");
        let is_complete = domain == "localhost" || domain.contains('.');
        if is_complete && is_short(&address) {
            Ok(Self(address))
        } else {
            Err(InvalidEmail)
        }
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

    /// An address of a given length.
    fn long(length: usize) -> String {
        let domain = [
            "b".repeat(63).as_str(),
            &"b".repeat(63),
            &"b".repeat(57),
            "org",
        ]
        .join(".");
        format!("{}@{domain}", "a".repeat(length - 1 - domain.len()))
    }

    #[test]
    fn valid_email_addresses_are_accepted() {
        for valid in [
            "a@b.c",
            "root@localhost",
            "jürgen@müller.de",
            "a+b@c-d.e.f",
            "o'neill@example.org",
            "用户@例子.公司",
            &long(254),
        ] {
            assert!(valid.parse::<Email>().is_ok(), "{valid}");
        }
    }

    #[test]
    fn invalid_email_addresses_are_rejected() {
        let label = format!("a@{}.org", "b".repeat(64));
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
            "a@b_c.d",
            "a@xn--\u{0}.d",
            "a@xn--99999999.d",
            "a\u{200b}@c.d",
            "a@c\u{200b}.d",
            "\u{202e}a@c.d",
            "a@\u{2066}c.d",
            "a\u{ad}@c.d",
            "\u{301}a@c.d",
            "a\u{e000}@c.d",
            &format!("a{}@c.d", "\u{301}".repeat(100)),
            &"a".repeat(100_000),
            &"\u{fdfa}@c.d".repeat(50),
            &label,
            &long(255),
        ] {
            assert_eq!(invalid.parse::<Email>(), Err(InvalidEmail), "{invalid:?}");
        }
    }

    #[test]
    fn email_addresses_that_look_alike_are_equal() {
        for (one, other) in [
            ("jos\u{e9}@example.org", "jose\u{301}@example.org"),
            ("ａｎｎ＠ｅｘａｍｐｌｅ．ｏｒｇ", "ann@example.org"),
            ("ﬁnn@example.org", "finn@example.org"),
            ("ANN@EXAMPLE.ORG", "ann@example.org"),
            ("ann@MÜLLER.de", "ann@xn--mller-kva.de"),
            ("ann@mu\u{308}ller.de", "ann@XN--MLLER-KVA.de"),
            ("ann@例子。公司", "ann@xn--fsqu00a.xn--55qx5d"),
        ] {
            let email = one.parse::<Email>().unwrap();
            assert_eq!(Ok(&email), other.parse().as_ref(), "{one}");
        }
        for (one, other) in [
            ("groß@example.org", "gross@example.org"),
            ("ıan@example.org", "ian@example.org"),
            ("ann@straße.de", "ann@strasse.de"),
        ] {
            assert_ne!(
                one.parse::<Email>().unwrap(),
                other.parse().unwrap(),
                "{one}"
            );
        }
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
