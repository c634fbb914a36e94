//! S16 and S22: the broker loses everything, stands still and stays away, and bookings go on.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mesh::Nats;
use tokio_util::sync::CancellationToken;

use crate::Stage;

/// Nobody here books faster than so many times a second.
const FASTEST: usize = 600;

/// Takes the broker through everything that can happen to it, under load. `calm` is how long each state lasts, `away` how
/// long it stays away. Answers what happened.
pub async fn lose_the_broker(calm: Duration, away: Duration, people: usize) -> Result<String> {
    let seconds = usize::try_from((5 * calm + away).as_secs())?;
    let mut stage = Stage::set(1, seconds * FASTEST).await?;
    let stop = CancellationToken::new();
    let visits = stage.crowd.use_platform(people, &stop)?;
    visits.go_on(calm).await;

    // Its store is deleted while it runs, and it comes back with nothing.
    nats(&mut stage)?.wipe()?;
    visits.go_on(calm).await;
    nats(&mut stage)?.kill()?;
    nats(&mut stage)?.restart()?;
    visits.go_on(calm).await;

    // It stands still: connections are open, nothing is answered.
    nats(&mut stage)?.pause()?;
    visits.go_on(calm).await;
    nats(&mut stage)?.resume()?;
    visits.go_on(calm).await;

    let calm_rate = visits.go_on(calm).await;
    nats(&mut stage)?.kill()?;
    let began = Instant::now();
    let absent_rate = visits.go_on(away).await;
    nats(&mut stage)?.restart()?;
    let absence = began.elapsed();
    stop.cancel();
    let tally = visits.end().await?;
    let drained = stage.evidence.quiet().await?;

    let failed = tally.failed();
    ensure!(failed.is_empty(), "{tally}");
    carries_again(&stage).await?;
    let bookings = stage.crowd.bookings();
    stage.close().await?;
    Ok(format!(
        "{bookings} bookings; {tally}; {calm_rate:.0} requests a second with the broker, {absent_rate:.0} in {absence:?} \
         without; everything had come in {drained:?} after it was back; every invariant holds"
    ))
}

/// After all that events come through the broker again, and not only from the logs.
async fn carries_again(stage: &Stage) -> Result<()> {
    let received = || -> Result<f64> {
        let view = stage.mesh.replicas("view").next().context("a view")?;
        view.metric("berth_bus_received_total")
    };
    let before = received()?;
    let mut looks = tokio::time::interval(Duration::from_millis(200));
    let began = Instant::now();
    while received()? <= before {
        ensure!(
            began.elapsed() < Duration::from_secs(30),
            "the broker is back and carries nothing"
        );
        stage.crowd.book().await?;
        looks.tick().await;
    }
    Ok(())
}

fn nats(stage: &mut Stage) -> Result<&mut Nats> {
    stage.mesh.nats.as_mut().context("a broker")
}
