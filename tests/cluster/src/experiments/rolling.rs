//! Upgrades and rollbacks under load; and the same without what makes them harmless.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    Options,
    release::{ALL, Release},
};

/// The number of requests without a failure.
const REQUESTS: u64 = 100_000;
/// The smallest number of upgrades, and of rollbacks.
const ROUNDS: u32 = 3;
/// The time between them.
const PAUSE: Duration = Duration::from_secs(10);
/// The number of concurrent users.
const PEOPLE: usize = 16;
pub(super) async fn nothing_fails(release: &Release, _: &Options) -> Result<String> {
    // Four of ten requests are bookings; the last round is completed.
    let crowd = Arc::new(release.crowd(usize::try_from(REQUESTS)?).await?);
    let stop = CancellationToken::new();
    // Users also stop after an error.
    let _stopped = stop.clone().drop_guard();
    let visits = crowd.use_platform(PEOPLE, &stop)?;
    let before_all = release.sent_again();
    let (mut rounds, mut replaced) = (0, 0);
    while rounds < ROUNDS || visits.tally.done() < REQUESTS {
        rounds += 1;
        let round = format!("defaults.podAnnotations={{\"round\": \"{rounds}\"}}");
        for upgrade in [true, false] {
            let before = release.pods()?;
            if upgrade {
                release.upgrade(&[&round])?;
            } else {
                release.rollback()?;
            }
            let took = release.rolled_out().await?;
            let kept = |uid: &str| before.iter().any(|(_, pod)| pod.uid == uid);
            let after = release.pods()?;
            ensure!(
                after.iter().all(|(_, pod)| !kept(&pod.uid)),
                "a pod was not replaced"
            );
            replaced += before.len();
            let what = if upgrade { "upgrade" } else { "rollback" };
            println!(
                "{what} {rounds} took {:.0} s; {}",
                took.as_secs_f64(),
                visits.tally
            );
            let failed = visits.tally.failed();
            ensure!(failed.is_empty(), "failed requests: {failed:?}");
            visits.go_on(PAUSE).await;
        }
    }
    stop.cancel();
    let tally = visits.end().await?;
    ensure!(tally.failed().is_empty(), "{tally}");
    let found = crowd.find_booked().await?;
    Ok(format!(
        "{rounds} upgrades and {rounds} rollbacks replaced {replaced} pods; {tally}; {} were sent again, because a connection closed before; \
         all {found} bookings are there",
        release.sent_again() - before_all
    ))
}

pub(super) async fn careless(release: &Release, _: &Options) -> Result<String> {
    let crowd = Arc::new(release.crowd(20_000).await?);
    release.upgrade(&[r#"config={"BERTH_DRAIN_DELAY": "0s", "BERTH_GRACE": "0s"}"#])?;
    release.rolled_out().await?;
    let deployments = release.kubernetes.objects("deployments", ALL)?;
    let names = deployments
        .iter()
        .filter_map(|found| found["metadata"]["name"].as_str());
    let names: Vec<&str> = names.collect();
    let patch = r#"{"spec": {"minReadySeconds": 0, "template": {"spec": {"containers":
        [{"name": "app", "readinessProbe": null, "startupProbe": null}]}}}}"#;
    for name in &names {
        release
            .kubernetes
            .kubectl(&["patch", "deployment", name, "--patch", patch])?;
    }
    release.rolled_out().await?;
    let stop = CancellationToken::new();
    // Users also stop after an error.
    let _stopped = stop.clone().drop_guard();
    let visits = crowd.use_platform(PEOPLE, &stop)?;
    visits.go_on(Duration::from_secs(2)).await;
    for name in &names {
        release
            .kubernetes
            .kubectl(&["rollout", "restart", "deployment", name])?;
    }
    release.rolled_out().await?;
    stop.cancel();
    let tally = visits.end().await?;
    // As it was, probes included.
    release.upgrade(&[])?;
    release.rolled_out().await?;
    for deployment in release.kubernetes.objects("deployments", ALL)? {
        let app: &Value = &deployment["spec"]["template"]["spec"]["containers"][0];
        ensure!(!app["readinessProbe"].is_null(), "the probes are not back");
    }
    let failed: u64 = tally.failed().values().sum();
    let all = tally.done() + failed;
    let number = |value: u64| f64::from(u32::try_from(value).unwrap_or(u32::MAX));
    let percent = 100.0 * number(failed) / number(all);
    ensure!(failed > 0, "none failed: {tally}");
    Ok(format!(
        "{failed} of {all} requests failed during one restart, {percent:.2} %"
    ))
}
