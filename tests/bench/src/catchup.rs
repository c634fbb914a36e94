//! `catchup`: `view` is down for a while under load, restarts, and applies its backlog while the load continues.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{
    booking::report,
    load, machine,
    platform::{Mode, Platform},
    world::{ENV, Kind, Size, World},
};

/// The timeout of the catch-up.
const TIMEOUT: Duration = Duration::from_mins(5);

/// How to measure.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Options {
    /// Print one JSON object as the last line.
    #[arg(long)]
    json: bool,
    /// Length of the outage of `view` in seconds.
    #[arg(long, default_value_t = 30)]
    outage: u64,
    /// Arrivals in a second, before, during and after the outage.
    #[arg(long, default_value_t = 150)]
    rate: u32,
    #[command(flatten)]
    size: Size,
}

/// Measures and reports.
pub(crate) async fn run(options: Options) -> Result<()> {
    let mut platform = Platform::start(Mode::Mesh, ENV).await?;
    println!("{}", machine::facts());
    let world = Arc::new(World::prepare(&platform, Kind::Booking, options.size).await?);
    let work = move || {
        let world = world.clone();
        async move { world.book().await }
    };
    let rate = f64::from(options.rate);
    let time = Duration::from_secs(options.outage);
    load::open(rate, Duration::from_secs(3), work.clone()).await;
    let before = load::open(rate, Duration::from_secs(10), work.clone()).await;
    report("before", &before);

    let mesh = platform.mesh().context("separate processes")?;
    mesh.replica("view-0")?.kill()?;
    let during = load::open(rate, time, work.clone()).await;
    report("without view", &during);

    let more = tokio::spawn(load::open(rate, Duration::from_secs(10), work));
    let mesh = platform.mesh().context("separate processes")?;
    let began = Instant::now();
    let view = mesh.replica("view-0")?;
    view.start().await?;
    let ready = began.elapsed();
    let mut polls = tokio::time::interval(Duration::from_millis(50));
    let mut consumed = 0.0;
    loop {
        polls.tick().await;
        // The lag reported by the consumers, and the events that they have applied since their start.
        consumed = view.metric("berth_consumed_events_total")?.max(consumed);
        if view.metric("berth_consumer_lag")? < 50.0 && consumed > 0.0 {
            break;
        }
        if began.elapsed() > TIMEOUT {
            bail!("no catch-up within {TIMEOUT:?}");
        }
    }
    let took = began.elapsed().saturating_sub(ready).as_secs_f64();
    let after = more.await?;
    report("catching up", &after);
    let arrivals = consumed / (took + time.as_secs_f64());
    println!(
        "{consumed:.0} events applied in {took:.1} s ({:.0}/s), {:.1} times as fast as they arrive; ready after {} ms",
        consumed / took,
        consumed / took / arrivals,
        ready.as_millis()
    );
    if options.json {
        let result = serde_json::json!({
            "bench": "catchup",
            "machine": machine::facts(),
            "rate": rate,
            "outage_s": options.outage,
            "events": consumed,
            "events_per_second": (consumed / took).round(),
            "times_arrival": consumed / took / arrivals,
            "live_p99_ms_before": before.ms(99.0),
            "live_p99_ms_catching_up": after.ms(99.0),
            "errors": before.failed.len() + during.failed.len() + after.failed.len(),
        });
        println!("{result}");
    }
    Ok(())
}
