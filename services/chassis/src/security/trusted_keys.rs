//! The copy of the keys and revocations that `member` publishes (`MemberService.GetTrust`).
//!
//! It is renewed about every second (`client/trust_renewal.rs`). While `member` is down the last copy stays in force.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use berth::member::v1 as proto;
use jsonwebtoken::DecodingKey;
use tokio::sync::{Notify, Semaphore, watch};

use crate::base::{
    id::MemberId,
    time::{self, Timestamp},
};

/// How long a request with an unknown key waits for the next renewal.
const RENEWAL_WAIT: Duration = Duration::from_millis(500);
/// How many requests may wait for a renewal at the same time; more are refused at once.
const MAX_WAITING: usize = 16;
/// How long a start waits for the first copy.
const FIRST_COPY_WAIT: Duration = Duration::from_secs(5);

/// Keys and revocations as `member` published them.
#[derive(Default)]
pub(super) struct KeySet {
    pub(super) keys: BTreeMap<String, TrustedKey>,
    pub(super) revoked_sessions: BTreeSet<String>,
    /// A member's tokens issued before this time are revoked.
    pub(super) revoked_members: BTreeMap<MemberId, Timestamp>,
}

/// A public key of `member`.
pub(super) struct TrustedKey {
    pub(super) key: DecodingKey,
    /// It signs until this time, if there is an end.
    pub(super) retires: Option<Timestamp>,
}

impl From<proto::GetTrustResponse> for KeySet {
    fn from(response: proto::GetTrustResponse) -> Self {
        let members = response.revoked_members.into_iter().filter_map(|revoked| {
            let before = revoked.issued_before.as_ref().and_then(time::from_proto)?;
            Some((revoked.member_id.parse().ok()?, before))
        });
        Self {
            keys: response.keys.into_iter().filter_map(trusted_key).collect(),
            revoked_sessions: response.revoked_sessions.into_iter().collect(),
            revoked_members: members.collect(),
        }
    }
}

/// A key with its id, if it is an Ed25519 key.
fn trusted_key(key: proto::JsonWebKey) -> Option<(String, TrustedKey)> {
    let is_ed25519 = key.kty == "OKP" && key.crv == "Ed25519" && key.alg == "EdDSA";
    let public = URL_SAFE_NO_PAD.decode(&key.x).ok();
    match public {
        Some(public) if is_ed25519 && public.len() == 32 && !key.kid.is_empty() => {
            // A time that cannot be read has passed.
            let passed = |at| time::from_proto(&at).unwrap_or(Timestamp::MIN);
            let trusted = TrustedKey {
                key: DecodingKey::from_ed_der(&public),
                retires: key.retire_time.map(passed),
            };
            Some((key.kid, trusted))
        }
        _ => {
            tracing::warn!(kid = key.kid, "key of member cannot be used");
            None
        }
    }
}

/// The latest copy, and the requests that wait for a newer one.
pub(crate) struct TrustedKeys {
    state: watch::Sender<State>,
    renewal_requested: Notify,
    waiting: Semaphore,
}

#[derive(Default)]
struct State {
    /// Renewals so far, successful or not.
    renewals: u64,
    /// None until `member` has answered once.
    latest: Option<Arc<KeySet>>,
}

impl Default for TrustedKeys {
    fn default() -> Self {
        Self {
            state: watch::Sender::default(),
            renewal_requested: Notify::new(),
            waiting: Semaphore::new(MAX_WAITING),
        }
    }
}

impl TrustedKeys {
    pub(super) fn latest(&self) -> Option<Arc<KeySet>> {
        self.state.borrow().latest.clone()
    }

    pub(super) fn replace(&self, keys: KeySet) {
        let keys = Some(Arc::new(keys));
        self.state.send_modify(|state| state.latest = keys);
    }

    /// Counts an attempt to renew the copy, successful or not.
    pub(crate) fn count_renewal(&self) {
        self.state.send_modify(|state| state.renewals += 1);
    }

    /// Whether there is a copy.
    pub(crate) fn are_known(&self) -> bool {
        self.state.borrow().latest.is_some()
    }

    /// Waits until a token names an unknown key.
    pub(crate) async fn renewal_requested(&self) {
        self.renewal_requested.notified().await;
    }

    /// Waits for the first copy, at most 5 seconds: without it no signed-in caller is let in. `member` may start at the
    /// same time.
    pub(crate) async fn first_copy(&self) {
        let mut states = self.state.subscribe();
        let known = states.wait_for(|state| state.latest.is_some());
        if tokio::time::timeout(FIRST_COPY_WAIT, known).await.is_err() {
            tracing::warn!("signed-in callers are refused until `member` publishes its keys");
        }
    }

    /// Requests a renewal and waits for it. False if nothing renews the copy, or if too many requests wait already.
    pub(super) async fn next_renewal(&self) -> bool {
        let mut states = self.state.subscribe();
        let Ok(_permit) = self.waiting.try_acquire() else {
            return false;
        };
        let renewals = states.borrow().renewals;
        if renewals == 0 {
            return false;
        }
        self.renewal_requested.notify_one();
        let next = states.wait_for(|state| state.renewals > renewals);
        tokio::time::timeout(RENEWAL_WAIT, next).await.is_ok()
    }
}
