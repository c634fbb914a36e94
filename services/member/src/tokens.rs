//! Tokens: access tokens (JWTs signed with Ed25519) and refresh tokens (secrets that are stored as hashes).

use std::{fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use chassis::{
    Timestamp,
    base::random,
    security::{claims::Claims, tokens::TrustSettings},
};
use sha2::{Digest, Sha256};

use crate::{
    codec,
    domain::{
        account::Account,
        keys::SigningKey,
        session::Ticket,
        values::{KeyId, Seed, SessionId, TokenHash},
    },
};

/// An access token for somebody who was let in at a time, signed. None if the key is broken.
///
/// Its times are those of the decision: whatever was revoked later is of a later time.
pub(crate) fn access_token(
    account: &Account,
    session: SessionId,
    at: Timestamp,
    ends: Timestamp,
    key: &SigningKey,
    trust: &TrustSettings,
) -> Option<String> {
    let claims = Claims {
        iss: trust.token_issuer.clone(),
        aud: trust.token_audience.clone(),
        sub: account.member,
        sid: session.to_string(),
        jti: random::id::<SessionId>().to_string(),
        iat: account.issue_time(at),
        nbf: at,
        exp: ends,
        roles: codec::wire_roles(account).collect(),
    };
    claims.sign(&key.id.to_string(), &pair(&key.seed)?).ok()
}

/// The session of an access token whose signature has been checked already.
pub(crate) fn session_of(token: &str) -> Option<SessionId> {
    let claims = BASE64.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    claims.sid.parse().ok()
}

/// A new signing key.
pub(crate) fn new_key(id: KeyId) -> SigningKey {
    let pair = ed25519_dalek::SigningKey::from_bytes(&random::secret());
    SigningKey {
        id,
        seed: Seed(BASE64.encode(pair.to_bytes())),
        public: BASE64.encode(pair.verifying_key().to_bytes()),
    }
}

fn pair(seed: &Seed) -> Option<ed25519_dalek::SigningKey> {
    let seed: [u8; 32] = BASE64.decode(&seed.0).ok()?.try_into().ok()?;
    Some(ed25519_dalek::SigningKey::from_bytes(&seed))
}

/// A refresh token: the session, a half that stays and a half that is new with every exchange.
#[derive(Clone)]
pub(crate) struct RefreshToken {
    pub(crate) session: SessionId,
    family: [u8; 16],
    current: [u8; 32],
}

/// The text is not a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a refresh token")]
pub(crate) struct NotAToken;

impl RefreshToken {
    /// The first token of a new session.
    pub(crate) fn new() -> Self {
        Self {
            session: random::id(),
            family: random::secret(),
            current: random::secret(),
        }
    }

    /// The token that follows it.
    pub(crate) fn next(&self) -> Self {
        Self {
            current: random::secret(),
            ..*self
        }
    }

    /// As it is stored.
    pub(crate) fn ticket(&self) -> Ticket {
        let hash = |half: &[u8]| TokenHash(BASE64.encode(Sha256::digest(half)));
        Ticket {
            family: hash(&self.family),
            current: hash(&self.current),
        }
    }

    /// As the member keeps it.
    pub(crate) fn reveal(&self) -> String {
        let session = self.session.uuid();
        BASE64.encode([session.as_bytes(), &self.family[..], &self.current].concat())
    }
}

impl FromStr for RefreshToken {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        // 64 bytes are 86 characters; what is longer is not even decoded.
        let bytes: [u8; 64] = (text.len() == 86)
            .then(|| BASE64.decode(text).ok()?.try_into().ok())
            .flatten()
            .ok_or(NotAToken)?;
        let (session, secrets) = bytes.split_first_chunk::<16>().ok_or(NotAToken)?;
        let (family, current) = secrets.split_first_chunk::<16>().ok_or(NotAToken)?;
        Ok(Self {
            session: SessionId::from_u128(u128::from_be_bytes(*session)),
            family: *family,
            current: current.try_into().map_err(|_| NotAToken)?,
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
    fn a_refresh_token_is_read_back() {
        let token = RefreshToken::new();
        let read: RefreshToken = token.reveal().parse().unwrap();
        assert_eq!(read.session, token.session);
        assert_eq!(read.ticket(), token.ticket());
    }

    #[test]
    fn the_next_token_keeps_its_first_half_only() {
        let token = RefreshToken::new();
        let next = token.next();
        assert_eq!(next.session, token.session);
        assert_eq!(next.ticket().family, token.ticket().family);
        assert_ne!(next.ticket().current, token.ticket().current);
    }

    #[test]
    fn what_is_no_refresh_token_is_refused() {
        let good = RefreshToken::new().reveal();
        for bad in [
            "",
            "x",
            &good[1..],
            &format!("{good}A"),
            &"!".repeat(86),
            &"ä".repeat(43),
        ] {
            assert!(bad.parse::<RefreshToken>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_refresh_token_is_neither_stored_nor_shown() {
        let token = RefreshToken::new();
        let shown = format!("{token:?} {:?}", token.ticket());
        let stored = serde_json::to_string(&token.ticket()).unwrap();
        for secret in [&token.family[..], &token.current] {
            let secret = BASE64.encode(secret);
            assert!(!shown.contains(&secret) && !stored.contains(&secret));
        }
    }

    #[test]
    fn a_signing_key_is_not_shown() {
        let key = new_key(KeyId::from_u128(1));
        assert!(!format!("{key:?}").contains(&key.seed.0));
    }

    #[test]
    fn the_session_of_nonsense_is_none() {
        for token in ["", "a.b.c", "..", "a.e30.c"] {
            assert_eq!(session_of(token), None, "{token}");
        }
    }
}
