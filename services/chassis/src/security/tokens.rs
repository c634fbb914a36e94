//! Trust: whose tokens are believed, for how long, and what was revoked.
//!
//! `member` signs people's tokens and publishes its keys and revocations (`MemberService.GetTrust`); every process keeps a
//! copy, renewed about every second ([`Trust::follow`]). While `member` is down the last copy stays in force.
//! A token is believed only if one of those keys signed it, with the one algorithm there is (EdDSA), if every claim is
//! there and of the right type, and if it is meant for this platform, good now and not revoked. What a token says about
//! how to verify it (`jku`, `jwk`, `x5u`, …) is ignored; its `kid` is only an index into the keys that are there already.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use berth::member::v1 as proto;
use clap::Args;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, Semaphore, watch};

use crate::base::{
    clock::Clock,
    id::MemberId,
    time::{self, SignedDuration, Timestamp},
};
use crate::security::{
    claims::{self, Claims},
    service_identity::{
        self as service, BadServiceKey, LIFETIME as SERVICE_TOKEN_LIFETIME, ServiceKey,
    },
};
use crate::security::{recent::Recent, service_identity::ServiceClaims};

/// How far the clocks of two services may be apart.
pub const LEEWAY: SignedDuration = SignedDuration::from_secs(5);
/// Longer tokens are not looked at.
pub const MAX_TOKEN: usize = 8 * 1024;
/// How many verified tokens are remembered.
const REMEMBERED: usize = 20_000;

/// How long a request with an unknown key waits for that.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long a start waits for what `member` has to tell.
const START: Duration = Duration::from_secs(5);
/// How many requests may wait for it at the same time; more are refused at once.
const WAITING: usize = 16;

/// Whose tokens are believed.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct TrustSettings {
    /// Issuer of access tokens.
    #[arg(long, env = "BERTH_TOKEN_ISSUER", default_value = "berth")]
    pub token_issuer: String,
    /// Audience of access tokens.
    #[arg(long, env = "BERTH_TOKEN_AUDIENCE", default_value = "berth")]
    pub token_audience: String,
    /// File with the key by which services know each other across processes: 32 bytes in base64. Not needed in one process.
    #[arg(long, env = "BERTH_SERVICE_KEY_FILE")]
    pub service_key_file: Option<PathBuf>,
}

impl Default for TrustSettings {
    fn default() -> Self {
        Self {
            token_issuer: "berth".to_owned(),
            token_audience: "berth".to_owned(),
            service_key_file: None,
        }
    }
}

impl TrustSettings {
    /// The service key, if one is given.
    pub fn service_key(&self) -> Result<Option<ServiceKey>, BadServiceKey> {
        self.service_key_file
            .as_deref()
            .map(ServiceKey::read)
            .transpose()
    }
}

/// Why a token is not believed. For the log; a caller is told nothing but that it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// It is too long.
    #[error("too long")]
    TooLong,
    /// It is no token, or claims are missing or of the wrong type.
    #[error("malformed")]
    Malformed,
    /// Its key is not known (yet).
    #[error("unknown key")]
    UnknownKey,
    /// `member` has not told yet whose tokens are good: whether this one is cannot be said.
    #[error("no keys known yet")]
    NothingKnown,
    /// Its key did not sign it.
    #[error("wrong signature or algorithm")]
    Forged,
    /// It comes from somebody else.
    #[error("foreign issuer")]
    ForeignIssuer,
    /// It is meant for somebody else.
    #[error("foreign audience")]
    ForeignAudience,
    /// It is not good yet.
    #[error("not good yet")]
    NotYet,
    /// It is not good any more.
    #[error("expired")]
    Expired,
    /// Its session or its member's tokens were revoked.
    #[error("revoked")]
    Revoked,
}

/// Keys and revocations, as `member` told them.
#[derive(Default)]
struct Known {
    /// Whether it has told anything yet.
    told: bool,
    keys: BTreeMap<String, DecodingKey>,
    sessions: BTreeSet<String>,
    members: BTreeMap<MemberId, Timestamp>,
}

/// A person's token whose signature was verified.
struct Verified {
    claims: Arc<Claims>,
    key_id: String,
}

/// Whose tokens are believed. Clones are the same.
#[derive(Clone)]
pub struct Trust(Arc<Inner>);

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}

struct Inner {
    settings: TrustSettings,
    service_key: Option<ServiceKey>,
    clock: Clock,
    known: RwLock<Arc<Known>>,
    persons: Recent<[u8; 32], Arc<Verified>>,
    services: Recent<[u8; 32], Arc<ServiceClaims>>,
    asked: Notify,
    renewals: watch::Sender<u64>,
    waiting: Semaphore,
}

impl Trust {
    /// Trusts nobody yet but the services that have the service key.
    pub fn new(settings: TrustSettings, service_key: Option<ServiceKey>, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            settings,
            service_key,
            clock,
            known: RwLock::default(),
            persons: Recent::at_most(REMEMBERED),
            services: Recent::at_most(REMEMBERED),
            asked: Notify::new(),
            renewals: watch::Sender::new(0),
            waiting: Semaphore::new(WAITING),
        }))
    }

    /// Who the person with this token is. With an unknown key it is worth waiting for the next renewal: the key may be new.
    pub(crate) async fn person(&self, token: &str) -> Result<Arc<Claims>, Untrusted> {
        match self.verify(token) {
            Err(Untrusted::UnknownKey | Untrusted::NothingKnown) if self.renewed().await => {
                self.verify(token)
            }
            outcome => outcome,
        }
    }

    /// Who the person with this token is, by what is known now.
    pub fn verify(&self, token: &str) -> Result<Arc<Claims>, Untrusted> {
        if token.len() > MAX_TOKEN {
            return Err(Untrusted::TooLong);
        }
        let known = self.known();
        let digest = Sha256::digest(token).into();
        let remembered = self.0.persons.get(&digest);
        let is_new = remembered.is_none();
        let verified = match remembered {
            Some(verified) => verified,
            None => Arc::new(self.read(token, &known)?),
        };
        // Whatever may change while a token lives is looked at on every use.
        if let Err(untrusted) = self.good(&verified, &known) {
            self.0.persons.forget(&digest);
            return Err(untrusted);
        }
        if is_new {
            self.0.persons.put(digest, verified.clone());
        }
        Ok(verified.claims.clone())
    }

    /// The service that shows this token to `callee`.
    pub(crate) fn service(&self, token: &str, callee: &str) -> Result<String, Untrusted> {
        let key = self.0.service_key.as_ref().ok_or(Untrusted::UnknownKey)?;
        if token.len() > MAX_TOKEN {
            return Err(Untrusted::TooLong);
        }
        let digest = Sha256::digest(token).into();
        let remembered = self.0.services.get(&digest);
        let is_new = remembered.is_none();
        let read = || {
            let read = |key| signed::<ServiceClaims>(token, key, service::TYP).ok();
            key.believed().iter().find_map(read).map(Arc::new)
        };
        let claims = remembered.or_else(read).ok_or(Untrusted::Forged)?;
        if claims.aud != callee {
            return Err(Untrusted::ForeignAudience);
        }
        let longest = SERVICE_TOKEN_LIFETIME.saturating_add(LEEWAY);
        let now = self.0.clock.now();
        if now >= later(claims.exp, LEEWAY) {
            self.0.services.forget(&digest);
            return Err(Untrusted::Expired);
        }
        if later(now, LEEWAY) < claims.iat || claims.exp > later(now, longest) {
            return Err(Untrusted::NotYet);
        }
        let name = claims.service().ok_or(Untrusted::Malformed)?.to_owned();
        if is_new {
            self.0.services.put(digest, claims);
        }
        Ok(name)
    }

    /// Reads a token that was not seen before: its signature, and the claims that cannot change.
    fn read(&self, token: &str, known: &Known) -> Result<Verified, Untrusted> {
        let header = decode_header(token).map_err(|_| Untrusted::Malformed)?;
        let key_id = header.kid.ok_or(Untrusted::Malformed)?;
        let key = known.keys.get(&key_id);
        let key = key.ok_or(if known.told {
            Untrusted::UnknownKey
        } else {
            Untrusted::NothingKnown
        })?;
        let claims: Arc<Claims> = Arc::new(signed(token, key, claims::TYP)?);
        if claims.iss != self.0.settings.token_issuer {
            return Err(Untrusted::ForeignIssuer);
        }
        if claims.aud != self.0.settings.token_audience {
            return Err(Untrusted::ForeignAudience);
        }
        if claims.sid.is_empty() || claims.jti.is_empty() {
            return Err(Untrusted::Malformed);
        }
        Ok(Verified { claims, key_id })
    }

    /// Whether a token is good now: its time, its key and what was revoked.
    fn good(&self, verified: &Verified, known: &Known) -> Result<(), Untrusted> {
        let Verified { claims, key_id } = verified;
        let now = self.0.clock.now();
        if now >= later(claims.exp, LEEWAY) {
            return Err(Untrusted::Expired);
        }
        if later(now, LEEWAY) < claims.nbf.max(claims.iat) {
            return Err(Untrusted::NotYet);
        }
        if !known.keys.contains_key(key_id) {
            return Err(Untrusted::UnknownKey);
        }
        let before = known.members.get(&claims.sub);
        if known.sessions.contains(&claims.sid) || before.is_some_and(|before| claims.iat < *before)
        {
            return Err(Untrusted::Revoked);
        }
        Ok(())
    }

    fn known(&self) -> Arc<Known> {
        self.0
            .known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// What keeps the copy of keys and revocations up to date.
impl Trust {
    /// Takes over keys and revocations, in place of the former ones.
    pub fn learn(&self, told: proto::GetTrustResponse) {
        let members = told.revoked_members.into_iter().filter_map(|revoked| {
            let before = revoked.issued_before.as_ref().and_then(time::from_proto)?;
            Some((revoked.member_id.parse().ok()?, before))
        });
        let known = Arc::new(Known {
            told: true,
            keys: told.keys.into_iter().filter_map(usable).collect(),
            sessions: told.revoked_sessions.into_iter().collect(),
            members: members.collect(),
        });
        *self.0.known.write().unwrap_or_else(PoisonError::into_inner) = known;
    }

    /// Notes that `member` was asked, whatever it answered.
    pub(crate) fn note_renewal(&self) {
        self.0.renewals.send_modify(|count| *count += 1);
    }

    /// Whether `member` has answered at least once.
    pub(crate) fn is_told(&self) -> bool {
        self.known().told
    }

    /// Waits until a token names an unknown key.
    pub(crate) async fn wanted(&self) {
        self.0.asked.notified().await;
    }

    /// Waits until `member` has told something: before that nobody is let in who is signed in. It may start at the same
    /// time; if it is away for longer, the rest must do without it.
    pub(crate) async fn told_once(&self) {
        let mut renewals = self.0.renewals.subscribe();
        let told = renewals.wait_for(|_| self.known().told);
        if tokio::time::timeout(START, told).await.is_err() {
            tracing::warn!("nobody who is signed in is let in until `member` answers");
        }
    }

    /// Waits for the next renewal. False if nobody renews, or if too many wait already.
    async fn renewed(&self) -> bool {
        let mut renewals = self.0.renewals.subscribe();
        let Ok(_place) = self.0.waiting.try_acquire() else {
            return false;
        };
        if *renewals.borrow_and_update() == 0 {
            return false;
        }
        self.0.asked.notify_one();
        tokio::time::timeout(PATIENCE, renewals.changed())
            .await
            .is_ok()
    }
}

/// A key as `member` told it, if it is one that can be used.
fn usable(key: proto::JsonWebKey) -> Option<(String, DecodingKey)> {
    let is_ours = key.kty == "OKP" && key.crv == "Ed25519" && key.alg == "EdDSA";
    let public = URL_SAFE_NO_PAD.decode(&key.x).ok();
    match public {
        Some(public) if is_ours && public.len() == 32 && !key.kid.is_empty() => {
            Some((key.kid, DecodingKey::from_ed_der(&public)))
        }
        _ => {
            tracing::warn!(kid = key.kid, "a key cannot be used");
            None
        }
    }
}

/// The claims of a token that this key signed with EdDSA. Claims are checked here, by the platform's clock, and not by
/// the library, which knows only the machine's.
fn signed<C: DeserializeOwned>(token: &str, key: &DecodingKey, typ: &str) -> Result<C, Untrusted> {
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
    // An extension that MUST be understood is not.
    if data.header.crit.is_some() || data.header.typ.as_deref() != Some(typ) {
        return Err(Untrusted::Malformed);
    }
    Ok(data.claims)
}

/// A time later by a duration; the end of time if there is none.
fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
