//! S21, A-C23, A-C24: `view` grows from one replica to four, is away for a while, and comes back; its leader dies in the
//! middle, and one is left in the end. What it missed is there, once, and in order.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio_util::sync::CancellationToken;

use crate::Stage;

/// The replicas of `view`.
const REPLICAS: usize = 4;

/// Lets so many events pile up. Answers what happened.
pub async fn scale_out_and_in(backlog: i64, people: usize) -> Result<String> {
    // A booking is about eleven events, and the load goes on while they are taken.
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
    let mut looks = tokio::time::interval(Duration::from_millis(200));
    while events(&stage).await? - first < backlog {
        looks.tick().await;
    }
    let missed = events(&stage).await? - first;
    // The load goes on while it catches up.
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

    // And in again.
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
        "{missed} events were missed and taken in {took:.1?} by {REPLICAS} replicas, the first leader of which was killed; \
         {bookings} bookings; {tally}; every invariant holds"
    ))
}

/// How many events all contexts have recorded.
async fn events(stage: &Stage) -> Result<i64> {
    let mut sum = 0;
    for context in mesh::contexts() {
        sum += stage.evidence.store(context)?.head().await?;
    }
    Ok(sum)
}

/// The replica of `view` that leads, by what it says itself.
async fn leader(stage: &Stage) -> Result<String> {
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(30) {
        looks.tick().await;
        for process in stage.mesh.replicas("view") {
            let leads = process.metric("berth_leading")? > 0.0;
            if leads {
                return Ok(process.name().to_owned());
            }
        }
    }
    None.context("nobody leads")
}
