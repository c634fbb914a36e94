//! An autoscaler under load.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use berth::room::v1::{ListRoomsRequest, room_service_client::RoomServiceClient};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Options, kubernetes::until, release::Release};

/// The longest time from the start of the load to three ready replicas.
const SCALED: Duration = Duration::from_mins(1);
const TIMEOUT: Duration = Duration::from_mins(3);
const CLIENTS: usize = 8;

pub(super) async fn out(release: &Release, _: &Options) -> Result<String> {
    // One from the beginning: an autoscaler waits for five minutes before it takes one away.
    let one = ["scale", "deployment/berth-room", "--replicas=1"];
    release.kubernetes.kubectl(&one)?;
    let limits = r#"{"minReplicas": 1, "maxReplicas": 3, "cpuPercent": 50}"#;
    release.upgrade(&[&format!("services.room.autoscaling={limits}")])?;
    let ready = async || {
        Ok::<_, anyhow::Error>(
            release
                .kubernetes
                .pods("room")?
                .iter()
                .filter(|pod| pod.ready)
                .count(),
        )
    };
    // It knows the load, and that there is none.
    until("one replica", Duration::from_mins(8), async || {
        let scaler = release.kubernetes.kubectl(&["get", "hpa", "berth-room", "--output=json"])?;
        let scaler: serde_json::Value = serde_json::from_str(&scaler)?;
        let known = !scaler["status"]["currentMetrics"][0]["containerResource"]["current"]["averageUtilization"].is_null();
        Ok(known && ready().await? == 1)
    })
    .await?;
    let (line, stop) = (release.line()?, CancellationToken::new());
    let _stopped = stop.clone().drop_guard();
    let mut load = JoinSet::new();
    for _ in 0..CLIENTS {
        let (mut rooms, stop) = (RoomServiceClient::new(line.clone()), stop.clone());
        load.spawn(async move {
            while !stop.is_cancelled() {
                let request = ListRoomsRequest {
                    page_size: 50,
                    ..ListRoomsRequest::default()
                };
                // What matters is the work of the server.
                let _ = rooms.list_rooms(request).await;
            }
        });
    }
    let took = until("three replicas", TIMEOUT, async || Ok(ready().await? == 3)).await;
    stop.cancel();
    while let Some(ended) = load.join_next().await {
        ended.context("a client")?;
    }
    let took = took?;
    release.upgrade(&[])?;
    release.rolled_out().await?;
    ensure!(took <= SCALED, "three replicas after {took:?}");
    Ok(format!(
        "from 1 to 3 ready replicas in {:.0} s under load",
        took.as_secs_f64()
    ))
}
