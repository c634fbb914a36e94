//! Refresh tokens: secrets that the member keeps and the store has as hashes only.

use std::{fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use chassis::base::random;
use sha2::{Digest, Sha256};

use crate::domain::{
    session::TokenHashes,
    values::{SessionId, TokenHash},
};

/// A refresh token.
#[derive(Clone)]
pub(crate) struct RefreshToken {
    pub(crate) session: SessionId,
    /// The same secret in every token of a session.
    family: [u8; 16],
    /// A new secret in every token.
    current: [u8; 32],
}

/// The text is not a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a refresh token")]
pub(crate) struct InvalidRefreshToken;

impl RefreshToken {
    /// The first token of a new session.
    pub(crate) fn new() -> Self {
        Self {
            session: random::id(),
            family: random::secret(),
            current: random::secret(),
        }
    }

    /// The next token of the same session.
    pub(crate) fn next(&self) -> Self {
        Self {
            current: random::secret(),
            ..*self
        }
    }

    /// The hashes to store.
    pub(crate) fn hashes(&self) -> TokenHashes {
        let hash = |secret: &[u8]| TokenHash(BASE64.encode(Sha256::digest(secret)));
        TokenHashes {
            family: hash(&self.family),
            current: hash(&self.current),
        }
    }

    /// The text that the member receives. It contains the secrets.
    pub(crate) fn reveal(&self) -> String {
        let session = self.session.uuid();
        BASE64.encode([session.as_bytes(), &self.family[..], &self.current].concat())
    }
}

impl FromStr for RefreshToken {
    type Err = InvalidRefreshToken;

    fn from_str(text: &str) -> Result<Self, InvalidRefreshToken> {
        // 64 bytes are 86 characters. A longer text is not decoded.
        let bytes: [u8; 64] = (text.len() == 86)
            .then(|| BASE64.decode(text).ok()?.try_into().ok())
            .flatten()
            .ok_or(InvalidRefreshToken)?;
        let (session, secrets) = bytes.split_first_chunk::<16>().ok_or(InvalidRefreshToken)?;
        let (family, current) = secrets
            .split_first_chunk::<16>()
            .ok_or(InvalidRefreshToken)?;
        Ok(Self {
            session: SessionId::from_u128(u128::from_be_bytes(*session)),
            family: *family,
            current: current.try_into().map_err(|_| InvalidRefreshToken)?,
        })
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefreshToken of {}", self.session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_token_survives_the_round_trip_through_text() {
        let token = RefreshToken::new();
        let read: RefreshToken = token.reveal().parse().unwrap();
        assert_eq!(read.session, token.session);
        assert_eq!(read.hashes(), token.hashes());
    }

    #[test]
    fn the_next_token_keeps_session_and_family_and_changes_the_current_secret() {
        let token = RefreshToken::new();
        let next = token.next();
        assert_eq!(next.session, token.session);
        assert_eq!(next.hashes().family, token.hashes().family);
        assert_ne!(next.hashes().current, token.hashes().current);
    }

    #[test]
    fn a_malformed_refresh_token_is_rejected() {
        let valid = RefreshToken::new().reveal();
        for malformed in [
            "",
            "x",
            &valid[1..],
            &format!("{valid}A"),
            &"!".repeat(86),
            &"ä".repeat(43),
        ] {
            assert!(malformed.parse::<RefreshToken>().is_err(), "{malformed}");
        }
    }

    #[test]
    fn debug_output_and_stored_state_hide_the_secrets() {
        let token = RefreshToken::new();
        let shown = format!("{token:?} {:?}", token.hashes());
        let stored = serde_json::to_string(&token.hashes()).unwrap();
        for secret in [&token.family[..], &token.current] {
            let secret = BASE64.encode(secret);
            assert!(!shown.contains(&secret) && !stored.contains(&secret));
        }
    }
}
