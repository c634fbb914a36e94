//! Bookings: what the platform is there for.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Result;
use clap::Args;

use crate::{
    load::{self, Outcome},
    machine,
    platform::{Mode, Platform},
    world::{ENV, Kind, Size, World},
};

/// How to measure.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Options {
    /// Print one JSON object as the last line.
    #[arg(long)]
    json: bool,
    /// How the platform runs.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) mode: Mode,
    /// Length of each of the two measurements in seconds.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Arrivals in a second for the open loop; 0 means 70 % of the measured capacity.
    #[arg(long, default_value_t = 0)]
    rate: u32,
    /// How many wait for an answer at the same time in the closed loop.
    #[arg(long, default_value_t = 64)]
    workers: u32,
    #[command(flatten)]
    size: Size,
}

/// Measures and reports.
pub(crate) async fn run(kind: Kind, options: Options) -> Result<()> {
    let platform = Platform::start(options.mode, ENV).await?;
    let idle = platform.resident_mib()?;
    println!("{}", machine::facts());
    println!(
        "ready after {} ms, {idle:.0} MiB idle",
        platform.ready_after.as_millis()
    );
    let world = Arc::new(World::prepare(&platform, kind, options.size).await?);
    println!(
        "{} rooms, {} customers; warming up",
        options.size.rooms, options.size.customers
    );
    let work = {
        let world = world.clone();
        move || {
            let world = world.clone();
            async move { world.book().await }
        }
    };
    load::closed(options.workers, Duration::from_secs(3), work.clone()).await;

    let time = Duration::from_secs(options.seconds);
    let before = platform.cpu()?;
    let peak = load::closed(options.workers, time, work.clone()).await;
    let cost = cost(&before, &platform.cpu()?, peak.done);
    report("closed loop", &peak);

    let rate = if options.rate == 0 {
        peak.per_second() * 0.7
    } else {
        f64::from(options.rate)
    };
    let calm = load::open(rate, time, work).await;
    report(&format!("open loop at {rate:.0}/s"), &calm);
    let busy = platform.resident_mib()?;
    println!("{busy:.0} MiB under load");

    let micros: f64 = cost.values().sum();
    let parts = cost.iter().map(|(name, us)| format!("{name} {us:.0}"));
    println!(
        "{micros:.0} us of CPU for each ({}), {:.0}/s for each core",
        parts.collect::<Vec<_>>().join(", "),
        1_000_000.0 / micros
    );
    if options.json {
        let result = serde_json::json!({
            "bench": if kind == Kind::Booking { "booking" } else { "hold" },
            "mode": options.mode.name(),
            "machine": machine::facts(),
            "bookings_per_second": peak.per_second().round(),
            "bookings_per_second_per_core": (1_000_000.0 / micros).round(),
            "cpu_us_per_booking": micros.round(),
            "cpu_us_by_part": cost,
            "open_loop_rate": rate.round(),
            "p50_ms": calm.ms(50.0),
            "p90_ms": calm.ms(90.0),
            "p99_ms": calm.ms(99.0),
            "p999_ms": calm.ms(99.9),
            "max_ms": calm.ms(100.0),
            "errors": peak.failed.values().sum::<u64>() + calm.failed.values().sum::<u64>(),
            "ready_ms": u64::try_from(platform.ready_after.as_millis()).unwrap_or(u64::MAX),
            "idle_mib": idle.round(),
            "busy_mib": busy.round(),
        });
        println!("{result}");
    }
    Ok(())
}

/// Microseconds of CPU for each that was done, by part.
fn cost(
    before: &BTreeMap<String, f64>,
    after: &BTreeMap<String, f64>,
    done: u64,
) -> BTreeMap<String, f64> {
    let done = f64::from(u32::try_from(done.max(1)).unwrap_or(u32::MAX));
    let each = after.iter().map(|(name, seconds)| {
        let used = seconds - before.get(name).copied().unwrap_or(0.0);
        (name.clone(), (used * 1_000_000.0 / done).round())
    });
    each.collect()
}

/// Says what came of a load.
pub(crate) fn report(name: &str, outcome: &Outcome) {
    println!(
        "{name}: {:.0}/s, p50 {:.2} ms, p90 {:.2}, p99 {:.2}, p99.9 {:.2}, max {:.2}; {} done, failed: {:?}",
        outcome.per_second(),
        outcome.ms(50.0),
        outcome.ms(90.0),
        outcome.ms(99.0),
        outcome.ms(99.9),
        outcome.ms(100.0),
        outcome.done,
        outcome.failed,
    );
}
