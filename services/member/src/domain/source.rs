//! Where a request comes from.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Where a request comes from: a number derived from a network address or an identity, so it has a fixed size and shows
/// nobody's address. Requests from inside the process have none, and are one source together.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub(crate) struct Source(u64);

impl Source {
    /// The source with a name.
    pub(crate) fn named(name: &str) -> Self {
        Self(fingerprint(name))
    }

    /// The number.
    pub(crate) fn bits(self) -> u64 {
        self.0
    }
}

/// The first 64 bits of the SHA-256 of a text.
pub(crate) fn fingerprint(text: &str) -> u64 {
    let digest: [u8; 32] = Sha256::digest(text).into();
    digest
        .into_iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_with_different_names_differ_and_are_read_back_as_stored() {
        let (one, other) = (Source::named("192.0.2.1"), Source::named("192.0.2.2"));
        assert_ne!(one, other);
        let stored = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<Source>(&stored).unwrap(), one);
    }

    #[test]
    fn a_fingerprint_never_changes() {
        // The first bytes of the test vector "abc" of FIPS 180-4.
        assert_eq!(fingerprint("abc"), 0xba78_16bf_8f01_cfea);
    }
}
