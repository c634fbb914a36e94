//! Access tokens: JWTs signed with Ed25519.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use chassis::{
    Timestamp,
    base::random,
    security::{
        claims::{Claims, NotSigned},
        tokens::TrustSettings,
    },
};

use super::signing_keys::KeyPair;
use crate::{
    codec,
    domain::{account::Account, values::SessionId},
};

/// Issues a signed access token.
///
/// `at` is the time of the decision that admitted the member, so a later revocation always has a later time.
pub(super) fn issue(
    account: &Account,
    session: SessionId,
    at: Timestamp,
    expiry: Timestamp,
    pair: &KeyPair,
    trust: &TrustSettings,
) -> Result<String, NotSigned> {
    let claims = Claims {
        iss: trust.token_issuer.clone(),
        aud: trust.token_audience.clone(),
        sub: account.member,
        sid: session.to_string(),
        jti: random::id::<SessionId>().to_string(),
        iat: account.issue_time(at),
        nbf: at,
        exp: expiry,
        roles: codec::account::roles_to_proto(account).collect(),
    };
    claims.sign(&pair.public.id.to_string(), &pair.key)
}

/// The session of an access token. The caller must have verified the signature.
pub(crate) fn session_of(token: &str) -> Option<SessionId> {
    let claims = BASE64.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    claims.sid.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_token_has_no_session() {
        for token in ["", "a.b.c", "..", "a.e30.c"] {
            assert_eq!(session_of(token), None, "{token}");
        }
    }
}
