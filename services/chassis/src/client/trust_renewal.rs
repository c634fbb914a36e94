//! Keeps the copy of keys and revocations up to date.

use std::time::Duration;

use berth::member::v1::{self as proto, member_service_client::MemberServiceClient};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

use crate::{client::peers::Peers, security::tokens::Trust};

/// How often the copy of keys and revocations is renewed.
const RENEWAL: Duration = Duration::from_secs(1);
/// How soon it may be renewed again when a token names an unknown key.
const SOONEST_RENEWAL: Duration = Duration::from_millis(250);

/// Asks `member` for keys and revocations. If it does not answer, the last ones stay in force.
pub async fn refresh_once(trust: &Trust, peers: &Peers) -> Result<(), Status> {
    let peers = peers.called_by("trust");
    let mut request = Request::new(proto::GetTrustRequest {});
    request.set_timeout(RENEWAL);
    let told = MemberServiceClient::new(peers.to("member"))
        .get_trust(request)
        .await?;
    trust.learn(told.into_inner());
    Ok(())
}

/// Keeps asking: about every second, and sooner when a token names an unknown key.
pub async fn follow(trust: Trust, peers: Peers, stop: CancellationToken) {
    let mut fresh = true;
    while !stop.is_cancelled() {
        let outcome = refresh_once(&trust, &peers).await;
        match &outcome {
            Err(status) if fresh => {
                tracing::warn!(code = ?status.code(), "trust cannot be renewed, the last known stays in force");
            }
            Ok(()) if !fresh => tracing::info!("trust is renewed again"),
            _ => {}
        }
        fresh = outcome.is_ok();
        trust.note_renewal();
        let told = trust.is_told();
        let sooner = async {
            tokio::time::sleep(SOONEST_RENEWAL).await;
            if told {
                trust.wanted().await;
            }
        };
        tokio::select! {
            () = tokio::time::sleep(RENEWAL) => {}
            () = sooner => {}
            () = stop.cancelled() => {}
        }
    }
}
