//! Renews the copy of keys and revocations that `member` publishes.

use std::time::Duration;

use berth::member::v1::{self as proto, member_service_client::MemberServiceClient};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

use crate::{client::peers::Peers, security::tokens::Trust};

/// How often the copy is renewed.
const INTERVAL: Duration = Duration::from_secs(1);
/// How soon it may be renewed again when a token names an unknown key.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(250);

/// Reads keys and revocations from `member`. If that fails, the last ones stay in force.
pub async fn refresh_once(trust: &Trust, peers: &Peers) -> Result<(), Status> {
    let peers = peers.called_by("trust");
    let mut request = Request::new(proto::GetTrustRequest {});
    request.set_timeout(INTERVAL);
    let mut member = MemberServiceClient::new(peers.to("member"));
    trust.learn(member.get_trust(request).await?.into_inner());
    Ok(())
}

/// Renews about every second, and sooner when a token names an unknown key.
pub async fn follow(trust: Trust, peers: Peers, stop: CancellationToken) {
    let mut fresh = true;
    while !stop.is_cancelled() {
        let outcome = refresh_once(&trust, &peers).await;
        match &outcome {
            Err(status) if fresh => {
                tracing::warn!(code = ?status.code(), "keys and revocations cannot be renewed, the last ones stay in force");
            }
            Ok(()) if !fresh => tracing::info!("keys and revocations are renewed again"),
            _ => {}
        }
        fresh = outcome.is_ok();
        let keys = trust.keys();
        keys.count_renewal();
        let known = keys.are_known();
        let sooner = async {
            tokio::time::sleep(SHORTEST_INTERVAL).await;
            if known {
                keys.renewal_requested().await;
            }
        };
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = sooner => {}
            () = stop.cancelled() => {}
        }
    }
}
