//! Keeps the copy of keys and revocations up to date.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use berth::member::v1 as proto;
use jsonwebtoken::DecodingKey;
use proto::member_service_client::MemberServiceClient;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

use super::{Known, Trust};
use crate::{peers::Peers, time};

/// How often the copy of keys and revocations is renewed.
const RENEWAL: Duration = Duration::from_secs(1);
/// How soon it may be renewed again when a token names an unknown key.
const SOONEST_RENEWAL: Duration = Duration::from_millis(250);
/// How long a request with an unknown key waits for that.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long a start waits for what `member` has to tell.
const START: Duration = Duration::from_secs(5);
/// How many requests may wait for it at the same time; more are refused at once.
pub(super) const WAITING: usize = 16;

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

    /// Asks `member` for keys and revocations. If it does not answer, the last ones stay in force.
    pub async fn refresh_once(&self, peers: &Peers) -> Result<(), Status> {
        let peers = peers.called_by("trust");
        let mut request = Request::new(proto::GetTrustRequest {});
        request.set_timeout(RENEWAL);
        let told = MemberServiceClient::new(peers.to("member"))
            .get_trust(request)
            .await?;
        self.learn(told.into_inner());
        Ok(())
    }

    /// Keeps asking: about every second, and sooner when a token names an unknown key.
    pub async fn follow(self, peers: Peers, stop: CancellationToken) {
        let mut fresh = true;
        while !stop.is_cancelled() {
            let outcome = self.refresh_once(&peers).await;
            match &outcome {
                Err(status) if fresh => {
                    tracing::warn!(code = ?status.code(), "trust cannot be renewed, the last known stays in force");
                }
                Ok(()) if !fresh => tracing::info!("trust is renewed again"),
                _ => {}
            }
            fresh = outcome.is_ok();
            self.0.renewals.send_modify(|count| *count += 1);
            let told = self.known().told;
            let sooner = async {
                tokio::time::sleep(SOONEST_RENEWAL).await;
                if told {
                    self.0.asked.notified().await;
                }
            };
            tokio::select! {
                () = tokio::time::sleep(RENEWAL) => {}
                () = sooner => {}
                () = stop.cancelled() => {}
            }
        }
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
    pub(super) async fn renewed(&self) -> bool {
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
