//! Tokens: access tokens (JWTs signed with Ed25519) and refresh tokens (secrets that are stored as hashes).

use std::{fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use chassis::{MemberId, Timestamp, chance};
use ed25519_dalek::Signer;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    domain::{
        keys::SigningKey,
        session::Ticket,
        values::{KeyId, Role, Seed, SessionId, TokenHash},
    },
    settings::Settings,
};

/// What an access token says.
#[derive(Debug, Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: String,
    sid: String,
    jti: String,
    iat: f64,
    nbf: f64,
    exp: f64,
    roles: Vec<Role>,
}

/// Whom an access token is for, and what it allows.
#[derive(Debug)]
pub(crate) struct Access {
    /// The member.
    pub(crate) member: MemberId,
    /// What the member may do.
    pub(crate) roles: Vec<Role>,
    /// The session it belongs to.
    pub(crate) session: SessionId,
    /// When it says it was issued.
    pub(crate) issued: Timestamp,
    /// From when it is good.
    pub(crate) begins: Timestamp,
    /// When it ends.
    pub(crate) ends: Timestamp,
}

impl Access {
    /// The token, signed. `None` if the key is broken.
    pub(crate) fn sign(&self, key: &SigningKey, settings: &Settings) -> Option<String> {
        let header = serde_json::json!({"alg": "EdDSA", "typ": "JWT", "kid": key.id.to_string()});
        let claims = Claims {
            iss: &settings.token_issuer,
            aud: &settings.token_audience,
            sub: self.member.to_string(),
            sid: self.session.to_string(),
            jti: chance::id::<KeyId>().to_string(),
            iat: numeric_date(self.issued),
            nbf: numeric_date(self.begins),
            exp: numeric_date(self.ends),
            roles: self.roles.clone(),
        };
        let claims = serde_json::to_vec(&claims).ok()?;
        let signed = format!(
            "{}.{}",
            BASE64.encode(header.to_string()),
            BASE64.encode(claims)
        );
        let signature = pair(&key.seed)?.sign(signed.as_bytes());
        Some(format!("{signed}.{}", BASE64.encode(signature.to_bytes())))
    }
}

/// RFC 7519: seconds since 1970, with a fraction, so that a token issued after a revocation is told from one before.
fn numeric_date(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

/// The session of an access token whose signature has been checked already.
pub(crate) fn session_of(token: &str) -> Option<SessionId> {
    #[derive(Deserialize)]
    struct Sid {
        sid: String,
    }
    let claims = BASE64.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Sid>(&claims)
        .ok()?
        .sid
        .parse()
        .ok()
}

/// A new signing key.
pub(crate) fn new_key(id: KeyId) -> SigningKey {
    let pair = ed25519_dalek::SigningKey::from_bytes(&chance::secret());
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
            session: chance::id(),
            family: chance::secret(),
            current: chance::secret(),
        }
    }

    /// The token that follows it.
    pub(crate) fn next(&self) -> Self {
        Self {
            current: chance::secret(),
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
