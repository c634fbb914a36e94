//! The claims of an access token: one definition for the signer and the verifiers.

use berth::common::v1::Role;
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};

use crate::base::{
    id::MemberId,
    time::{SignedDuration, Timestamp},
};

/// The longest life of an access token. One that claims more is refused.
pub const LONGEST_LIFE: SignedDuration = SignedDuration::from_hours(1);

/// `typ` of a person's token.
pub(super) const TYP: &str = "JWT";

/// The claims of a person's access token: a JWT with `typ` "JWT", `alg` "EdDSA" and the signing key's `kid`.
///
/// Every claim is required. Times are NumericDates with a fraction where there is one, so that tokens issued just
/// before and just after a revocation differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The issuer.
    pub iss: String,
    /// The audience.
    pub aud: String,
    /// The member.
    #[serde(deserialize_with = "member")]
    pub sub: MemberId,
    /// The session it belongs to; when the session is revoked, so is the token.
    pub sid: String,
    /// Unique id of the token.
    pub jti: String,
    /// When it was issued.
    #[serde(with = "numeric_date")]
    pub iat: Timestamp,
    /// It is valid from this time on.
    #[serde(with = "numeric_date")]
    pub nbf: Timestamp,
    /// It expires at this time.
    #[serde(with = "numeric_date")]
    pub exp: Timestamp,
    /// The roles of the person: "CUSTOMER", "HOST", "ADMIN". An unknown role grants nothing.
    #[serde(with = "role_names")]
    pub roles: Vec<Role>,
}

impl Claims {
    /// The signed token.
    pub fn sign(&self, key_id: &str, key: &SigningKey) -> Result<String, NotSigned> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYP.to_owned());
        header.kid = Some(key_id.to_owned());
        sign(&header, self, &encoding_key(key)?)
    }
}

/// A token could not be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token could not be signed")]
pub struct NotSigned;

pub(super) fn encoding_key(key: &SigningKey) -> Result<EncodingKey, NotSigned> {
    let der = key.to_pkcs8_der().map_err(|_| NotSigned)?;
    Ok(EncodingKey::from_ed_der(der.as_bytes()))
}

pub(super) fn sign(
    header: &Header,
    claims: &impl Serialize,
    key: &EncodingKey,
) -> Result<String, NotSigned> {
    jsonwebtoken::encode(header, claims, key).map_err(|_| NotSigned)
}

/// A member's id in the one spelling that is used everywhere, not in the other spellings of a UUID.
fn member<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<MemberId, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

mod role_names {
    use berth::common::v1::Role;
    use serde::{Deserialize, Deserializer, Serializer};

    const PREFIX: &str = "ROLE_";

    pub(super) fn serialize<S: Serializer>(
        roles: &[Role],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(roles.iter().map(|role| {
            let name = role.as_str_name();
            name.strip_prefix(PREFIX).unwrap_or(name)
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Role>, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        let known = |name: &String| Role::from_str_name(&format!("{PREFIX}{name}"));
        let granted = |role: &Role| *role != Role::Unspecified;
        Ok(names.iter().filter_map(known).filter(granted).collect())
    }
}

/// RFC 7519: seconds since 1970, with a fraction where there is one.
pub(super) mod numeric_date {
    use std::fmt;

    use jiff::{SignedDuration, Timestamp, Unit};
    use serde::{
        Deserializer, Serializer,
        de::{Error, Visitor},
    };

    pub(in crate::security) fn serialize<S: Serializer>(
        at: &Timestamp,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match at.subsec_nanosecond() {
            0 => serializer.serialize_i64(at.as_second()),
            _ => serializer.serialize_f64(at.as_duration().as_secs_f64()),
        }
    }

    pub(in crate::security) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Timestamp, D::Error> {
        deserializer.deserialize_any(NumericDate)
    }

    /// Accepts numbers only: a text, a list or null is an error and never "no limit".
    struct NumericDate;

    impl Visitor<'_> for NumericDate {
        type Value = Timestamp;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("seconds since 1970")
        }

        fn visit_i64<E: Error>(self, seconds: i64) -> Result<Timestamp, E> {
            Timestamp::from_second(seconds).map_err(E::custom)
        }

        fn visit_u64<E: Error>(self, seconds: u64) -> Result<Timestamp, E> {
            self.visit_i64(i64::try_from(seconds).map_err(E::custom)?)
        }

        fn visit_f64<E: Error>(self, seconds: f64) -> Result<Timestamp, E> {
            let since = SignedDuration::try_from_secs_f64(seconds).map_err(E::custom)?;
            Timestamp::from_duration(since)
                .and_then(|at| at.round(Unit::Microsecond))
                .map_err(E::custom)
        }
    }
}
