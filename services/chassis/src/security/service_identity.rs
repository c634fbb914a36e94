//! How services authenticate to each other: with short-lived tokens, signed with the platform's service key.
//!
//! Between contexts of one process nothing is signed: the caller is an extension of the request, which no client can send.

use std::{fmt, io, path::Path, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{SECRET_KEY_LENGTH, SigningKey};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::{Deserialize, Serialize};

use crate::base::{
    private_files, random,
    time::{SignedDuration, Timestamp},
};
use crate::security::claims::{NotSigned, encoding_key, numeric_date, sign};

/// `typ` of a service's token. It differs from that of a person's token.
pub(super) const TYP: &str = "service+jwt";

/// How long a service's token is valid.
pub const LIFETIME: SignedDuration = SignedDuration::from_secs(60);

/// The claims of a service's token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ServiceClaims {
    /// `service:<name>`.
    pub(super) sub: String,
    /// The called context.
    pub(super) aud: String,
    #[serde(with = "numeric_date")]
    pub(super) iat: Timestamp,
    #[serde(with = "numeric_date")]
    pub(super) exp: Timestamp,
}

impl ServiceClaims {
    /// The name of the service.
    pub(super) fn service(&self) -> Option<&str> {
        let name = self.sub.strip_prefix("service:")?;
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ((1..=63).contains(&name.len()) && name.chars().all(allowed)).then_some(name)
    }
}

/// The key by which the services of a platform authenticate to each other.
#[derive(Clone)]
pub struct ServiceKey(Arc<Keys>);

struct Keys {
    signs: EncodingKey,
    trusted: Vec<DecodingKey>,
}

impl fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceKey")
    }
}

/// Why the service key cannot be used. The message does not contain the key.
#[derive(Debug, thiserror::Error)]
pub enum BadServiceKey {
    /// The file cannot be read.
    #[error("the service key file cannot be read")]
    Unreadable(#[source] std::io::Error),
    /// It is not a key.
    #[error("a service key is 32 bytes in base64, one key on a line")]
    Malformed,
}

impl ServiceKey {
    /// Reads the key from a file.
    pub fn read(file: &Path) -> Result<Self, BadServiceKey> {
        Self::parse(&std::fs::read_to_string(file).map_err(BadServiceKey::Unreadable)?)
    }

    /// The key from its text: seeds of 32 bytes in base64, one on a line. The first signs, all are trusted. To
    /// roll out a new key, add it as the second line everywhere, then make it the first, then remove the old one.
    pub fn parse(text: &str) -> Result<Self, BadServiceKey> {
        let seeds = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys: Vec<SigningKey> = seeds.map(seed).collect::<Result<_, _>>()?;
        let first = keys.first().ok_or(BadServiceKey::Malformed)?;
        let trusted = keys
            .iter()
            .map(|key| DecodingKey::from_ed_der(key.verifying_key().as_bytes()));
        Ok(Self(Arc::new(Keys {
            signs: encoding_key(first).map_err(|NotSigned| BadServiceKey::Malformed)?,
            trusted: trusted.collect(),
        })))
    }

    /// Makes a new key and writes it to a file that only its owner may read. Replaces an existing file.
    pub fn make(file: &Path) -> io::Result<Self> {
        let text = STANDARD.encode(random::secret::<SECRET_KEY_LENGTH>());
        private_files::write(file, &text)?;
        Self::parse(&text).map_err(io::Error::other)
    }

    /// A token that proves `service` to the context it calls.
    pub fn sign(&self, service: &str, callee: &str, now: Timestamp) -> Result<String, NotSigned> {
        let claims = ServiceClaims {
            sub: format!("service:{service}"),
            aud: callee.to_owned(),
            iat: now,
            exp: now.saturating_add(LIFETIME).map_err(|_| NotSigned)?,
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYP.to_owned());
        sign(&header, &claims, &self.0.signs)
    }

    pub(super) fn trusted(&self) -> &[DecodingKey] {
        &self.0.trusted
    }
}

fn seed(text: &str) -> Result<SigningKey, BadServiceKey> {
    let bytes = STANDARD
        .decode(text)
        .map_err(|_| BadServiceKey::Malformed)?;
    let seed: [u8; SECRET_KEY_LENGTH] = bytes.try_into().map_err(|_| BadServiceKey::Malformed)?;
    Ok(SigningKey::from_bytes(&seed))
}
