//! The database is lost, and comes back with its volume.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::{Options, kubernetes::until, release::Release};

/// Longer than liveness probes tolerate.
const OUTAGE: Duration = Duration::from_mins(1);
const TIMEOUT: Duration = Duration::from_mins(2);
const BOOKINGS: usize = 50;

pub(super) async fn lost(release: &Release, _: &Options) -> Result<String> {
    let crowd = release.crowd(2 * BOOKINGS).await?;
    for _ in 0..BOOKINGS {
        crowd.book().await?;
    }
    let before = release.pods()?;
    let scale = |replicas: &str| {
        release
            .kubernetes
            .kubectl(&["scale", "statefulset", "berth-postgres", replicas])
    };
    scale("--replicas=0")?;
    let began = Instant::now();
    let unready = until("all unready", TIMEOUT, async || {
        Ok(release.pods()?.iter().all(|(_, pod)| !pod.ready))
    })
    .await?;
    until("the outage", TIMEOUT, async || Ok(began.elapsed() > OUTAGE)).await?;
    scale("--replicas=1")?;
    let ready = until("all ready", TIMEOUT, async || {
        Ok(release.pods()?.iter().all(|(_, pod)| pod.ready))
    })
    .await?;
    let identity = |(_, pod): &(&str, crate::kubernetes::Pod)| (pod.uid.clone(), pod.restarts);
    let [before, after] =
        [before, release.pods()?].map(|pods| pods.iter().map(identity).collect::<Vec<_>>());
    ensure!(
        before == after,
        "pods were restarted or replaced: {before:?}, {after:?}"
    );
    let found = crowd.find_booked().await?;
    crowd.book().await?;
    Ok(format!(
        "all {} pods unready after {:.1} s; in {} s without a database none was restarted; all ready {:.1} s after its return; \
         the new PostgreSQL pod has the {found} bookings of its volume, and books on",
        before.len(),
        unready.as_secs_f64(),
        OUTAGE.as_secs(),
        ready.as_secs_f64()
    ))
}
