//! The digest of an event log, which distinguishes one history from another.

use std::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256};

/// The digest of all events of a log up to one of them. Two logs with the same digest at a position have the same events up
/// to there.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct LogDigest([u8; Self::BYTES]);

impl LogDigest {
    /// The digest of a log without events.
    pub const EMPTY: Self = Self([0; Self::BYTES]);
    /// Its size. Half of a SHA-256, which is enough against accidents and against a forger who must hit a given digest.
    const BYTES: usize = 16;

    /// The digest after the next event, given its id, type and subject, its version and time, and its data.
    #[must_use]
    pub fn then(self, texts: [&str; 3], [version, at]: [i64; 2], data: &[u8]) -> Self {
        let [id, event_type, subject] = texts.map(str::as_bytes);
        let (version, at) = (version.to_be_bytes(), at.to_be_bytes());
        let mut hash = Sha256::new_with_prefix(self.0);
        for field in [id, event_type, subject, &version, &at, data] {
            // The length keeps fields apart.
            hash.update(u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(field);
        }
        let hash = hash.finalize();
        let (half, _) = hash.split_at(Self::BYTES);
        Self::from_bytes(half).unwrap_or_default()
    }

    /// A stored digest. None if it does not have the right size.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for LogDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for LogDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a digest")]
pub struct NotADigest;

impl FromStr for LogDigest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let number = u128::from_str_radix(text, 16).map_err(|_| NotADigest)?;
        Ok(Self(number.to_be_bytes()))
    }
}
