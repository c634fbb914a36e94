//! S29: a rolling restart of all processes, one by one and half of them at once, without failed requests.

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use mesh::Process;
use tokio_util::sync::CancellationToken;

use crate::Stage;

/// Restarts processes until a number of requests was answered, each process at least once. Returns a report.
pub async fn restart_everything(requests: u64, people: usize) -> Result<String> {
    // Four of ten requests are bookings; the last round of restarts is completed.
    let bookings = usize::try_from(requests)?.saturating_mul(6) / 10 + 10_000;
    let mut stage = Stage::set(2, bookings).await?;
    let stop = CancellationToken::new();
    let visits = stage.crowd.use_platform(people, &stop)?;
    let names: Vec<String> = stage
        .mesh
        .processes
        .iter()
        .map(|process| process.name().to_owned())
        .collect();
    let (mut rounds, mut restarts) = (0, 0);
    while rounds == 0 || visits.tally.done() < requests {
        for name in &names {
            let process = stage.mesh.replica(name)?;
            process.stop().await?;
            process.start().await?;
            stage.mesh.ready().await?;
            restarts += 1;
        }
        // The first replicas of all contexts at once, then the second ones.
        for half in ["-0", "-1"] {
            let processes = stage.mesh.processes.iter_mut();
            let these: Vec<_> = processes
                .filter(|process| process.name().ends_with(half))
                .collect();
            restarts += these.len();
            try_join_all(these.into_iter().map(restart)).await?;
            stage.mesh.ready().await?;
        }
        rounds += 1;
    }
    stop.cancel();
    let tally = visits.end().await?;
    let failed = tally.failed();
    ensure!(failed.is_empty(), "after {restarts} restarts: {tally}");
    let bookings = stage.crowd.bookings();
    stage.close().await?;
    Ok(format!(
        "{restarts} restarts, {bookings} bookings; {tally}; every invariant holds"
    ))
}

async fn restart(process: &mut Process) -> Result<()> {
    process.stop().await?;
    process.start().await
}
