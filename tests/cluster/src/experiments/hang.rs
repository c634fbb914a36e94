//! A process that hangs.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use servers::Signal;

use crate::{Options, kubernetes::until, release::Release};

/// The longest time until it is replaced.
const REPLACED: Duration = Duration::from_secs(45);

pub(super) async fn replaced(release: &Release, _: &Options) -> Result<String> {
    let pods = release.kubernetes.pods("room")?;
    let hung = pods.first().context("no pod")?;
    Signal::Stop.send(&[release.kubernetes.process(hung)?])?;
    let now = async || {
        let pods = release.kubernetes.pods("room")?;
        let now = pods.into_iter().find(|pod| pod.uid == hung.uid);
        now.context("the pod is gone")
    };
    let unready = until("unready", REPLACED, async || Ok(!now().await?.ready)).await?;
    let restarted = until("restart", REPLACED, async || {
        Ok(now().await?.restarts == hung.restarts + 1)
    })
    .await?;
    until("ready again", REPLACED, async || Ok(now().await?.ready)).await?;
    let restarted = unready + restarted;
    ensure!(restarted <= REPLACED, "restarted after {restarted:?}");
    release.rolled_out().await?;
    Ok(format!(
        "unready {:.1} s after SIGSTOP, restarted after {:.1} s",
        unready.as_secs_f64(),
        restarted.as_secs_f64()
    ))
}
