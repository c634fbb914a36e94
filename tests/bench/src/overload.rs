//! Overload: several times what the platform can do. What it takes must be done nearly as fast as ever, the rest refused
//! at once, and afterwards all must be as before.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::Args;
use hdrhistogram::Histogram;

use crate::{
    load, machine,
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
    /// Length of each measurement in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many times its capacity is asked of the platform.
    #[arg(long, default_value_t = 3.0)]
    times: f64,
    /// How many connections ask.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// How many wait for an answer at the same time when the capacity is measured.
    #[arg(long, default_value_t = 64)]
    workers: u32,
    #[command(flatten)]
    size: Size,
}

/// What came of a load, apart by whether it was taken.
#[derive(Debug)]
struct Came {
    taken: Histogram<u64>,
    refused: Histogram<u64>,
    failed: BTreeMap<String, u64>,
    last_refused: Option<Instant>,
}

impl Came {
    fn new() -> Result<Self> {
        let histogram = || Histogram::new_with_bounds(1, 60_000_000, 3);
        Ok(Self {
            taken: histogram()?,
            refused: histogram()?,
            failed: BTreeMap::new(),
            last_refused: None,
        })
    }

    fn note(&mut self, began: Instant, result: &Result<(), String>) {
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        match result {
            Ok(()) => self.taken.saturating_record(micros),
            Err(why) if why.starts_with("Unavailable") => {
                self.refused.saturating_record(micros);
                self.last_refused = Some(Instant::now());
            }
            Err(why) => *self.failed.entry(why.clone()).or_default() += 1,
        }
    }

    fn show(&self, name: &str, seconds: f64) {
        let line = |histogram: &Histogram<u64>| {
            format!(
                "{:.0}/s, p50 {:.2} ms, p90 {:.2}, p99 {:.2}, max {:.2}",
                count(histogram.len()) / seconds,
                ms(histogram, 50.0),
                ms(histogram, 90.0),
                ms(histogram, 99.0),
                ms(histogram, 100.0)
            )
        };
        println!("{name}: taken {}", line(&self.taken));
        println!("{name}: refused {}", line(&self.refused));
        println!("{name}: failed otherwise {:?}", self.failed);
    }
}

fn count(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

fn ms(histogram: &Histogram<u64>, percentile: f64) -> f64 {
    count(histogram.value_at_percentile(percentile)) / 1000.0
}

/// Measures and reports.
pub(crate) async fn run(options: Options) -> Result<()> {
    let platform = Platform::start(options.mode, ENV).await?;
    println!("{}", machine::facts());
    let mut world = World::prepare(&platform, Kind::Booking, options.size).await?;
    world.channels = platform.connect("reservation", options.connections)?;
    let world = Arc::new(world);
    let work = {
        let world = world.clone();
        move || {
            let world = world.clone();
            async move { world.book().await }
        }
    };
    let time = Duration::from_secs(options.seconds);
    load::closed(options.workers, Duration::from_secs(3), work.clone()).await;
    let peak = load::closed(options.workers, time, work.clone()).await;
    println!(
        "capacity: {:.0}/s, p50 {:.2} ms, p99 {:.2} ms",
        peak.per_second(),
        peak.ms(50.0),
        peak.ms(99.0)
    );

    let rate = peak.per_second() * options.times;
    let over = observed(rate, time, work.clone()).await?;
    over.0.show(&format!("{:.1} times", options.times), over.1);
    let server = platform.shed()?;
    println!(
        "as the platform measured it, {:.2} % of {} refusals took 5 ms or less",
        server.share() * 100.0,
        server.all
    );
    let goodput = count(over.0.taken.len()) / over.1 / peak.per_second();
    println!("goodput: {:.0} % of the capacity", goodput * 100.0);

    let calmed = Instant::now();
    let calm = observed(peak.per_second() / 2.0, time, work).await?;
    calm.0.show("half of it afterwards", calm.1);
    let recovered = calm
        .0
        .last_refused
        .map_or(0.0, |last| last.duration_since(calmed).as_secs_f64());
    println!("last refusal {recovered:.2} s after the load had gone down");
    let busy = platform.resident_mib()?;
    println!("{busy:.0} MiB");
    if options.json {
        let result = serde_json::json!({
            "bench": "overload",
            "mode": options.mode.name(),
            "machine": machine::facts(),
            "times": options.times,
            "capacity_per_second": peak.per_second().round(),
            "goodput_share": (goodput * 100.0).round() / 100.0,
            "taken_p50_ms": ms(&over.0.taken, 50.0),
            "taken_p99_ms": ms(&over.0.taken, 99.0),
            "refused_p50_ms": ms(&over.0.refused, 50.0),
            "refused_p99_ms": ms(&over.0.refused, 99.0),
            "refused_within_5_ms_at_the_platform": server.share(),
            "failed_otherwise": over.0.failed.values().sum::<u64>() + calm.0.failed.values().sum::<u64>(),
            "recovered_after_s": recovered,
            "busy_mib": busy.round(),
        });
        println!("{result}");
    }
    Ok(())
}

/// An open loop, apart by what came of it, and how many seconds it took.
async fn observed<F, Fut>(rate: f64, time: Duration, work: F) -> Result<(Came, f64)>
where
    F: Fn() -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), String>> + Send + 'static,
{
    let came = Arc::new(Mutex::new(Came::new()?));
    let noted = came.clone();
    let outcome = load::open(rate, time, move || {
        let (began, work, noted) = (Instant::now(), work(), noted.clone());
        async move {
            let result = work.await;
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            noted.note(began, &result);
            drop(noted);
            result
        }
    })
    .await;
    let mut came = came.lock().unwrap_or_else(PoisonError::into_inner);
    let seconds = outcome.elapsed.as_secs_f64();
    Ok((std::mem::replace(&mut *came, Came::new()?), seconds))
}
