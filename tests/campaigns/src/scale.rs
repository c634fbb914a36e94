//! S21, A-C23, A-C24: `view` scales from one replica to four, is down while a backlog grows, and catches up. Its leader dies
//! meanwhile, and it scales down to one replica. Every event is applied once and in order.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio_util::sync::CancellationToken;

use crate::Stage;

/// The number of replicas of `view`.
const REPLICAS: usize = 4;

/// Runs the campaign with a backlog of a number of events. Returns a report.
pub async fn scale_out_and_in(backlog: i64, people: usize) -> Result<String> {
    // A booking records about eleven events, and the load continues during the catch-up.
    let bookings = usize::try_from(backlog)? / 5 + 10_000;
    let mut stage = Stage::set(1, bookings).await?;
    for _ in 1..REPLICAS {
        stage.mesh.grow("view").await?;
    }
    stage.evidence.quiet().await?;
    for number in 0..REPLICAS {
        stage.mesh.replica(&format!("view-{number}"))?.kill()?;
    }

    let stop = CancellationToken::new();
    let visits = stage.crowd.book_only(people, &stop)?;
    let first = events(&stage).await?;
    let mut polls = tokio::time::interval(Duration::from_millis(200));
    while events(&stage).await? - first < backlog {
        polls.tick().await;
    }
    let missed = events(&stage).await? - first;
    // The load continues during the catch-up.
    let began = Instant::now();
    for number in 0..REPLICAS {
        stage.mesh.replica(&format!("view-{number}"))?.spawn()?;
    }
    for number in 0..REPLICAS {
        stage
            .mesh
            .replica(&format!("view-{number}"))?
            .ready()
            .await?;
    }
    let leader = leader(&stage).await?;
    stage.mesh.replica(&leader)?.kill()?;
    stop.cancel();
    let tally = visits.end().await?;
    stage.evidence.quiet().await?;
    let took = began.elapsed();
    ensure!(tally.failed().is_empty(), "{tally}");

    // Scale down.
    for number in 0..REPLICAS - 1 {
        stage
            .mesh
            .replica(&format!("view-{number}"))?
            .stop()
            .await?;
    }
    let last = stage.mesh.replica("view-3")?;
    if last.pid().is_none() {
        last.start().await?;
    }
    stage.mesh.ready().await?;
    for _ in 0..20 {
        stage.crowd.book().await?;
    }
    let bookings = stage.crowd.bookings();
    stage.close().await?;
    Ok(format!(
        "a backlog of {missed} events was applied in {took:.1?} by {REPLICAS} replicas, the first leader of which was killed; \
         {bookings} bookings; {tally}; every invariant holds"
    ))
}

/// The number of recorded events of all contexts.
async fn events(stage: &Stage) -> Result<i64> {
    let mut sum = 0;
    for context in mesh::contexts() {
        sum += stage.evidence.store(context)?.high_water_mark().await?.seq;
    }
    Ok(sum)
}

/// The replica of `view` that leads, by its own metric.
async fn leader(stage: &Stage) -> Result<String> {
    let mut polls = tokio::time::interval(Duration::from_millis(50));
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(30) {
        polls.tick().await;
        for process in stage.mesh.replicas("view") {
            let leads = process.metric("berth_leading")? > 0.0;
            if leads {
                return Ok(process.name().to_owned());
            }
        }
    }
    None.context("no replica of view leads")
}
