//! How services authenticate to each other: with short-lived tokens. Each service signs with a private key of its own, and
//! every service has the list of all public keys, so that none can call in the name of another.
//!
//! Between contexts of one process nothing is signed: the caller is an extension of the request, which no client can send.

use std::{collections::BTreeMap, fmt, fs, io, path::Path, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{PUBLIC_KEY_LENGTH, SECRET_KEY_LENGTH, SigningKey};
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

/// The name under which an operator inspects processes. Its tokens are accepted on admin ports only.
pub const DOCTOR: &str = "doctor";

/// The file with the public keys that [`provision`] writes.
pub const PUBLIC_KEYS: &str = "service-keys";

/// What the audience of an admin port ends with.
const ADMIN: &str = ".log";

/// The audience of service tokens for the admin port of a process. It is also the name of that peer.
pub fn admin_port_of(process: &str) -> String {
    format!("{process}{ADMIN}")
}

/// Whether a service may call a port at all.
pub(super) fn may_call(service: &str, audience: &str) -> bool {
    service != DOCTOR || audience.ends_with(ADMIN)
}

/// The claims of a service's token. Its header names the issuer, too: as `kid`, to find the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ServiceClaims {
    /// The name of the service.
    pub(super) iss: String,
    /// The called context, or the admin port of a process.
    pub(super) aud: String,
    #[serde(with = "numeric_date")]
    pub(super) iat: Timestamp,
    #[serde(with = "numeric_date")]
    pub(super) exp: Timestamp,
}

/// The private key of a service.
#[derive(Clone)]
pub struct ServiceKey(Arc<Private>);

struct Private {
    name: String,
    signs: EncodingKey,
    public: [u8; PUBLIC_KEY_LENGTH],
}

/// Hides the key.
impl fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceKey of {}", self.0.name)
    }
}

/// Why service keys cannot be used. The message does not contain a key.
#[derive(Debug, thiserror::Error)]
pub enum BadServiceKey {
    /// A file cannot be read.
    #[error("the service key file cannot be read")]
    Unreadable(#[source] std::io::Error),
    /// It is not a private key.
    #[error("a service key is 32 bytes in base64")]
    Malformed,
    /// The line is not a public key.
    #[error("line {0} of the service keys is not `<service> <public key in base64>`")]
    MalformedLine(usize),
    /// The public key of the process is not in its own list, so it is in no list that agrees with this one.
    #[error("the service key of {0} is not the one that the service keys list for {0}")]
    NotListed(String),
}

impl ServiceKey {
    /// Reads the key of a service from a file.
    pub fn read(name: &str, file: &Path) -> Result<Self, BadServiceKey> {
        Self::parse(
            name,
            &fs::read_to_string(file).map_err(BadServiceKey::Unreadable)?,
        )
    }

    /// The key of a service from its text: 32 bytes in base64.
    pub fn parse(name: &str, text: &str) -> Result<Self, BadServiceKey> {
        let seed: [u8; SECRET_KEY_LENGTH] = decode(text).ok_or(BadServiceKey::Malformed)?;
        let key = SigningKey::from_bytes(&seed);
        Ok(Self(Arc::new(Private {
            name: name.to_owned(),
            signs: encoding_key(&key).map_err(|NotSigned| BadServiceKey::Malformed)?,
            public: key.verifying_key().to_bytes(),
        })))
    }

    /// Makes a new key and writes it to a file that only its owner may read. Replaces an existing file.
    pub fn make(name: &str, file: &Path) -> io::Result<Self> {
        let text = STANDARD.encode(random::secret::<SECRET_KEY_LENGTH>());
        private_files::write(file, &text)?;
        Self::parse(name, &text).map_err(io::Error::other)
    }

    /// A token that proves the service to the context that it calls.
    pub fn sign(&self, callee: &str, now: Timestamp) -> Result<String, NotSigned> {
        let claims = ServiceClaims {
            iss: self.0.name.clone(),
            aud: callee.to_owned(),
            iat: now,
            exp: now.saturating_add(LIFETIME).map_err(|_| NotSigned)?,
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYP.to_owned());
        header.kid = Some(self.0.name.clone());
        sign(&header, &claims, &self.0.signs)
    }

    /// The line of this key in the list of public keys.
    fn line(&self) -> String {
        format!("{} {}\n", self.0.name, STANDARD.encode(self.0.public))
    }
}

/// The public keys of all services of a platform.
#[derive(Clone, Default)]
pub struct ServiceKeys(Arc<BTreeMap<String, Vec<Public>>>);

struct Public {
    bytes: [u8; PUBLIC_KEY_LENGTH],
    verifies: DecodingKey,
}

impl fmt::Debug for ServiceKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl ServiceKeys {
    /// The public keys of some services.
    pub fn of<'a>(keys: impl IntoIterator<Item = &'a ServiceKey>) -> Self {
        let keys = keys.into_iter();
        Self::collect(keys.map(|key| (key.0.name.clone(), key.0.public)))
    }

    /// Reads the list of public keys from a file.
    pub fn read(file: &Path) -> Result<Self, BadServiceKey> {
        Self::parse(&fs::read_to_string(file).map_err(BadServiceKey::Unreadable)?)
    }

    /// The list from its text: on each line a service and a public key of it, 32 bytes in base64. A service may have several:
    /// to replace a key, add the new one to the list everywhere, then give it to its service, then remove the old one.
    pub fn parse(text: &str) -> Result<Self, BadServiceKey> {
        let lines = text.lines().zip(1..);
        let lines = lines.filter(|(line, _)| !line.trim().is_empty());
        let keys = lines.map(|(line, number)| {
            let key = line
                .trim()
                .split_once(' ')
                .filter(|(name, _)| is_name(name));
            let key = key.and_then(|(name, key)| Some((name.to_owned(), decode(key)?)));
            key.ok_or(BadServiceKey::MalformedLine(number))
        });
        Ok(Self::collect(keys.collect::<Result<Vec<_>, _>>()?))
    }

    fn collect(keys: impl IntoIterator<Item = (String, [u8; PUBLIC_KEY_LENGTH])>) -> Self {
        let mut all = BTreeMap::<_, Vec<_>>::new();
        for (name, bytes) in keys {
            let verifies = DecodingKey::from_ed_der(&bytes);
            all.entry(name)
                .or_default()
                .push(Public { bytes, verifies });
        }
        Self(Arc::new(all))
    }

    /// The keys of a service.
    pub(super) fn of_service(&self, name: &str) -> impl Iterator<Item = &DecodingKey> {
        let keys = self.0.get(name).into_iter().flatten();
        keys.map(|key| &key.verifies)
    }

    /// Refuses a private key whose tokens these keys do not verify.
    pub fn require(&self, key: &ServiceKey) -> Result<(), BadServiceKey> {
        let ServiceKey(own) = key;
        let listed = self.0.get(&own.name).into_iter().flatten();
        if listed.into_iter().any(|public| public.bytes == own.public) {
            return Ok(());
        }
        Err(BadServiceKey::NotListed(own.name.clone()))
    }
}

/// Makes the missing private keys of some services in a directory, `<service>.key` each, and the list of their public keys.
/// Existing private keys stay.
pub fn provision<'a>(
    dir: &Path,
    services: impl IntoIterator<Item = &'a str>,
) -> Result<(), BadServiceKey> {
    private_files::create_dir(dir).map_err(BadServiceKey::Unreadable)?;
    let mut list = String::new();
    for service in services {
        let file = dir.join(format!("{service}.key"));
        let key = if file.exists() {
            ServiceKey::read(service, &file)?
        } else {
            ServiceKey::make(service, &file).map_err(BadServiceKey::Unreadable)?
        };
        list += &key.line();
    }
    let file = dir.join(PUBLIC_KEYS);
    private_files::write(&file, &list).map_err(BadServiceKey::Unreadable)
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&name.len()) && name.chars().all(allowed)
}

/// 32 bytes in base64.
fn decode(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text.trim()).ok()?.try_into().ok()
}
