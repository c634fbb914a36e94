//! S16 and S22: bookings continue while the broker loses its data, hangs, and is down.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio_util::sync::CancellationToken;

use crate::Stage;

/// An upper limit of bookings in a second.
const FASTEST: usize = 600;

/// Lets the broker fail in several ways under load. `away` is the duration of the outage, `calm` that of each other phase.
/// Returns a report.
pub async fn lose_the_broker(calm: Duration, away: Duration, people: usize) -> Result<String> {
    let seconds = usize::try_from((5 * calm + away).as_secs())?;
    let mut stage = Stage::set(1, seconds * FASTEST).await?;
    let stop = CancellationToken::new();
    let visits = stage.crowd.use_platform(people, &stop)?;
    visits.go_on(calm).await;

    // It is killed, loses its data, and is restarted empty.
    stage.mesh.nats.wipe()?;
    visits.go_on(calm).await;
    stage.mesh.nats.kill()?;
    stage.mesh.nats.restart()?;
    visits.go_on(calm).await;

    // It hangs: connections are open, nothing is answered.
    stage.mesh.nats.pause()?;
    visits.go_on(calm).await;
    stage.mesh.nats.resume()?;
    visits.go_on(calm).await;

    let calm_rate = visits.go_on(calm).await;
    stage.mesh.nats.kill()?;
    let began = Instant::now();
    let absent_rate = visits.go_on(away).await;
    stage.mesh.nats.restart()?;
    let absence = began.elapsed();
    stop.cancel();
    let tally = visits.end().await?;
    let drained = stage.evidence.quiet().await?;

    let failed = tally.failed();
    ensure!(failed.is_empty(), "{tally}");
    delivers_again(&stage).await?;
    let bookings = stage.crowd.bookings();
    stage.close().await?;
    Ok(format!(
        "{bookings} bookings; {tally}; {calm_rate:.0} requests a second with the broker, {absent_rate:.0} in {absence:?} \
         without; all events were applied {drained:?} after its restart; every invariant holds"
    ))
}

/// Events are delivered through the broker again, not only from the logs.
async fn delivers_again(stage: &Stage) -> Result<()> {
    let received = || -> Result<f64> {
        let view = stage.mesh.replicas("view").next().context("a view")?;
        view.metric("berth_bus_received_total")
    };
    let before = received()?;
    let mut polls = tokio::time::interval(Duration::from_millis(200));
    let began = Instant::now();
    while received()? <= before {
        ensure!(
            began.elapsed() < Duration::from_secs(30),
            "the broker runs again and delivers no events"
        );
        stage.crowd.book().await?;
        polls.tick().await;
    }
    Ok(())
}
