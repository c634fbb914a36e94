//! Processes that are killed under load.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use servers::Signal;
use tokio_util::sync::CancellationToken;

use crate::{Options, release::Release};

const PEOPLE: usize = 16;
/// The contexts of a booking.
const KILLED: [&str; 3] = ["reservation", "payment", "room"];

pub(super) async fn nothing_lost(release: &Release, _: &Options) -> Result<String> {
    let crowd = Arc::new(release.crowd(20_000).await?);
    let stop = CancellationToken::new();
    // Users also stop after an error.
    let _stopped = stop.clone().drop_guard();
    let visits = crowd.book_only(PEOPLE, &stop)?;
    let mut killed = 0;
    for context in KILLED {
        for pod in release.kubernetes.pods(context)? {
            visits.go_on(Duration::from_secs(1)).await;
            let process = release.kubernetes.process(&pod)?;
            Signal::Kill.send(&[process])?;
            killed += 1;
            release.rolled_out().await?;
        }
    }
    visits.go_on(Duration::from_secs(2)).await;
    stop.cancel();
    let tally = visits.end().await?;
    let found = crowd.find_booked().await?;
    ensure!(found > 0, "nothing was booked: {tally}");
    let failed: u64 = tally.failed().values().sum();
    Ok(format!(
        "{killed} processes killed by SIGKILL; {} bookings acknowledged, {failed} failed; all {found} acknowledged are there",
        tally.done()
    ))
}
