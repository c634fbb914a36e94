//! Verification of access tokens and service tokens.
//!
//! A token is trusted only if a trusted key signed it, with the one algorithm there is (EdDSA), if every claim is there and
//! of the right type, and if it is issued for this platform, valid now and not revoked. What a token says about its own
//! verification (`jku`, `jwk`, `x5u`, …) is ignored; its `kid` is only an index into the keys that are there already.

use std::{fmt, path::PathBuf, sync::Arc};

use berth::member::v1 as proto;
use clap::Args;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use quick_cache::sync::Cache;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::{
    base::{
        clock::Clock,
        time::{SignedDuration, Timestamp},
    },
    security::{
        claims::{self, Claims, LONGEST_LIFE},
        service_identity::{
            self as service, BadServiceKey, LIFETIME as SERVICE_TOKEN_LIFETIME, ServiceClaims,
            ServiceKey, ServiceKeys,
        },
        trusted_keys::{KeySet, TrustedKeys},
    },
};

/// How far the clocks of two services may be apart.
pub const LEEWAY: SignedDuration = SignedDuration::from_secs(5);
/// Longer tokens are refused unread, in bytes.
pub const MAX_TOKEN: usize = 8 * 1024;
/// How many verified tokens are cached.
const CACHED: usize = 20_000;

/// Which tokens are trusted.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct TrustSettings {
    /// Issuer of access tokens
    #[arg(long, env = "BERTH_TOKEN_ISSUER", default_value = "berth")]
    pub token_issuer: String,
    /// Audience of access tokens
    #[arg(long, env = "BERTH_TOKEN_AUDIENCE", default_value = "berth")]
    pub token_audience: String,
    /// File with the private key of this process, by which it authenticates to services in other processes: 32 bytes in base64
    #[arg(long, env = "BERTH_SERVICE_KEY_FILE", requires = "service_keys")]
    pub service_key_file: Option<PathBuf>,
    /// File with the public keys of all services, `<service> <key>` on each line; without it only an operator's key in the data directory is accepted
    #[arg(long, env = "BERTH_SERVICE_KEYS")]
    pub service_keys: Option<PathBuf>,
}

impl Default for TrustSettings {
    fn default() -> Self {
        Self {
            token_issuer: "berth".to_owned(),
            token_audience: "berth".to_owned(),
            service_key_file: None,
            service_keys: None,
        }
    }
}

impl TrustSettings {
    /// The private key of a process, if one is configured.
    pub fn service_key(&self, process: &str) -> Result<Option<ServiceKey>, BadServiceKey> {
        let file = self.service_key_file.as_deref();
        file.map(|file| ServiceKey::read(process, file)).transpose()
    }

    /// The public keys of all services, if they are configured.
    pub fn service_keys(&self) -> Result<Option<ServiceKeys>, BadServiceKey> {
        let file = self.service_keys.as_deref();
        file.map(ServiceKeys::read).transpose()
    }
}

/// Why a token is not trusted. For the log only: a caller learns no more than that it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// It is longer than [`MAX_TOKEN`].
    #[error("too long")]
    TooLong,
    /// It is not a token, or claims are missing or of the wrong type.
    #[error("malformed")]
    Malformed,
    /// Its key is not known (yet).
    #[error("unknown key")]
    UnknownKey,
    /// `member` has not published its keys yet, so the token can be neither trusted nor refused.
    #[error("no keys known yet")]
    NothingKnown,
    /// The signature does not match the key, or the algorithm is another one.
    #[error("wrong signature or algorithm")]
    Forged,
    /// Another issuer.
    #[error("foreign issuer")]
    ForeignIssuer,
    /// Another audience.
    #[error("foreign audience")]
    ForeignAudience,
    /// It is not valid yet.
    #[error("not valid yet")]
    NotYet,
    /// It has expired.
    #[error("expired")]
    Expired,
    /// It is valid for longer than any token may be.
    #[error("too long a life")]
    TooLongLife,
    /// Its key had retired when it was issued.
    #[error("issued after its key had retired")]
    KeyRetired,
    /// Its session or its member's tokens were revoked.
    #[error("revoked")]
    Revoked,
}

/// Verifies tokens. Clones are the same.
#[derive(Clone)]
pub struct Trust(Arc<Inner>);

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}

struct Inner {
    settings: TrustSettings,
    service_keys: ServiceKeys,
    clock: Clock,
    keys: TrustedKeys,
    /// Verified tokens by their SHA-256 digest.
    persons: Cache<[u8; 32], Arc<Verified>>,
    services: Cache<[u8; 32], Arc<ServiceClaims>>,
}

/// A person's token whose signature was verified.
struct Verified {
    claims: Arc<Claims>,
    key_id: String,
}

impl Trust {
    /// Trusts no person's token before [`Trust::learn`], and the services that these keys identify.
    pub fn new(settings: TrustSettings, service_keys: ServiceKeys, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            settings,
            service_keys,
            clock,
            keys: TrustedKeys::default(),
            persons: Cache::new(CACHED),
            services: Cache::new(CACHED),
        }))
    }

    /// Replaces the keys and revocations.
    pub fn learn(&self, response: proto::GetTrustResponse) {
        self.0.keys.replace(response.into());
    }

    /// The copy of keys and revocations.
    pub(crate) fn keys(&self) -> &TrustedKeys {
        &self.0.keys
    }

    /// The claims of a person's token. With an unknown key it waits for the next renewal: the key may be new.
    pub(crate) async fn person(&self, token: &str) -> Result<Arc<Claims>, Untrusted> {
        match self.verify(token) {
            Err(Untrusted::UnknownKey | Untrusted::NothingKnown)
                if self.0.keys.next_renewal().await =>
            {
                self.verify(token)
            }
            outcome => outcome,
        }
    }

    /// The claims of a person's token, by the keys and revocations known now.
    pub fn verify(&self, token: &str) -> Result<Arc<Claims>, Untrusted> {
        let keys = self.0.keys.latest();
        let read = || self.read(token, keys.as_deref());
        let check = |verified: &Verified| self.check_now(verified, keys.as_deref());
        let verified = cached(&self.0.persons, token, read, check)?;
        Ok(verified.claims.clone())
    }

    /// The name of the service that presents this token to `callee`. Only a key of the service that the token names counts.
    pub(crate) fn service(&self, token: &str, callee: &str) -> Result<String, Untrusted> {
        let read = || {
            let header = decode_header(token).map_err(|_| Untrusted::Malformed)?;
            let issuer = header.kid.ok_or(Untrusted::Malformed)?;
            let read = |key| signed_claims::<ServiceClaims>(token, key, service::TYP).ok();
            let claims = self.0.service_keys.of_service(&issuer).find_map(read);
            let claims = claims.ok_or(Untrusted::Forged)?;
            (claims.iss == issuer)
                .then_some(claims)
                .ok_or(Untrusted::ForeignIssuer)
        };
        let check = |claims: &ServiceClaims| {
            if claims.aud != callee || !service::may_call(&claims.iss, callee) {
                return Err(Untrusted::ForeignAudience);
            }
            let longest = SERVICE_TOKEN_LIFETIME.saturating_add(LEEWAY);
            let now = self.0.clock.now();
            if now >= later(claims.exp, LEEWAY) {
                return Err(Untrusted::Expired);
            }
            if later(now, LEEWAY) < claims.iat || claims.exp > later(now, longest) {
                return Err(Untrusted::NotYet);
            }
            Ok(())
        };
        let claims = cached(&self.0.services, token, read, check)?;
        Ok(claims.iss.clone())
    }

    /// Verifies the signature of a token, and the claims whose validity cannot change.
    fn read(&self, token: &str, keys: Option<&KeySet>) -> Result<Verified, Untrusted> {
        let header = decode_header(token).map_err(|_| Untrusted::Malformed)?;
        let key_id = header.kid.ok_or(Untrusted::Malformed)?;
        let keys = &keys.ok_or(Untrusted::NothingKnown)?.keys;
        let key = keys.get(&key_id).ok_or(Untrusted::UnknownKey)?;
        let claims: Arc<Claims> = Arc::new(signed_claims(token, &key.key, claims::TYP)?);
        if claims.iss != self.0.settings.token_issuer {
            return Err(Untrusted::ForeignIssuer);
        }
        if claims.aud != self.0.settings.token_audience {
            return Err(Untrusted::ForeignAudience);
        }
        if claims.sid.is_empty() || claims.jti.is_empty() {
            return Err(Untrusted::Malformed);
        }
        if claims.exp > later(claims.iat, LONGEST_LIFE) {
            return Err(Untrusted::TooLongLife);
        }
        Ok(Verified { claims, key_id })
    }

    /// Checks what can change: the time, the key, and revocations.
    fn check_now(&self, verified: &Verified, keys: Option<&KeySet>) -> Result<(), Untrusted> {
        let Verified { claims, key_id } = verified;
        let now = self.0.clock.now();
        if now >= later(claims.exp, LEEWAY) {
            return Err(Untrusted::Expired);
        }
        if later(now, LEEWAY) < claims.nbf.max(claims.iat) {
            return Err(Untrusted::NotYet);
        }
        let keys = keys.ok_or(Untrusted::UnknownKey)?;
        let key = keys.keys.get(key_id).ok_or(Untrusted::UnknownKey)?;
        let retires = key.retires.map(|retires| later(retires, LEEWAY));
        if retires.is_some_and(|retires| claims.iat >= retires) {
            return Err(Untrusted::KeyRetired);
        }
        let revoked_before = keys.revoked_members.get(&claims.sub);
        if keys.revoked_sessions.contains(&claims.sid)
            || revoked_before.is_some_and(|before| claims.iat < *before)
        {
            return Err(Untrusted::Revoked);
        }
        Ok(())
    }
}

/// A verified token from the cache, or read anew. What can change during the life of a token is checked on every use.
fn cached<T>(
    cache: &Cache<[u8; 32], Arc<T>>,
    token: &str,
    read: impl FnOnce() -> Result<T, Untrusted>,
    check: impl FnOnce(&T) -> Result<(), Untrusted>,
) -> Result<Arc<T>, Untrusted> {
    if token.len() > MAX_TOKEN {
        return Err(Untrusted::TooLong);
    }
    let digest = Sha256::digest(token).into();
    let found = cache.get(&digest);
    let is_new = found.is_none();
    let verified = found.map_or_else(|| read().map(Arc::new), Ok)?;
    if let Err(untrusted) = check(&verified) {
        cache.remove(&digest);
        return Err(untrusted);
    }
    if is_new {
        cache.insert(digest, verified.clone());
    }
    Ok(verified)
}

/// The claims of a token that this key signed with EdDSA. They are checked here by the platform's clock: the library knows
/// only the machine's.
fn signed_claims<C: DeserializeOwned>(
    token: &str,
    key: &DecodingKey,
    typ: &str,
) -> Result<C, Untrusted> {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let data = decode::<C>(token, key, &validation).map_err(|error| {
        use jsonwebtoken::errors::ErrorKind;
        match error.kind() {
            ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => Untrusted::Forged,
            _ => Untrusted::Malformed,
        }
    })?;
    // `crit` names extensions that MUST be understood; none is.
    if data.header.crit.is_some() || data.header.typ.as_deref() != Some(typ) {
        return Err(Untrusted::Malformed);
    }
    Ok(data.claims)
}

/// A time later by a duration; the end of time if there is none.
fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
