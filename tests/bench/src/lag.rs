//! Lag: how long after the answer a booking is on the screen (`view` hears of it by events).

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use berth::view::v1::{ListMyPageRequest, view_service_client::ViewServiceClient};
use clap::Args;
use hdrhistogram::Histogram;
use tonic::{Request, transport::Channel};

use crate::{
    booking::report,
    load, machine,
    platform::{Mode, Platform},
    world::{Booked, ENV, Kind, Size, World},
};

/// How often a booking is looked for.
const LOOK: Duration = Duration::from_millis(1);
/// After this time it counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// How to measure.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Options {
    /// Print one JSON object as the last line.
    #[arg(long)]
    json: bool,
    /// How the platform runs.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) mode: Mode,
    /// Length of the measurement in seconds.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Arrivals in a second; 0 means 50 % of the capacity, which is measured first.
    #[arg(long, default_value_t = 0)]
    rate: u32,
    /// One of so many bookings is followed.
    #[arg(long, default_value_t = 20)]
    sample: usize,
    #[command(flatten)]
    size: Size,
}

/// Measures and reports.
pub(crate) async fn run(options: Options) -> Result<()> {
    let platform = Platform::start(options.mode, ENV).await?;
    println!("{}", machine::facts());
    let world = Arc::new(World::prepare(&platform, Kind::Booking, options.size).await?);
    let views = platform.connect("view", 2)?;
    let book = {
        let world = world.clone();
        move || {
            let world = world.clone();
            async move { world.book().await }
        }
    };
    let warm = load::closed(64, Duration::from_secs(5), book).await;
    let rate = match options.rate {
        0 => warm.per_second() * 0.5,
        rate => f64::from(rate),
    };
    let lags = Arc::new(Mutex::new(Histogram::<u64>::new_with_bounds(
        1, 60_000_000, 3,
    )?));
    let count = Arc::new(AtomicUsize::new(0));
    let (tally, sample) = (lags.clone(), options.sample.max(1));
    let work = move || {
        let (world, views, tally) = (world.clone(), views.clone(), tally.clone());
        let turn = count.fetch_add(1, Ordering::Relaxed);
        async move {
            let booked = world.book_as().await?;
            if turn.is_multiple_of(sample) {
                let view = views.get(turn % views.len().max(1)).ok_or("no channel")?;
                // Apart, so that it does not count as part of the booking.
                tokio::spawn(follow(view.clone(), booked, tally));
            }
            Ok(())
        }
    };
    let outcome = load::open(rate, Duration::from_secs(options.seconds), work).await;
    report(&format!("open loop at {rate:.0}/s"), &outcome);
    let lags = lags.lock().unwrap_or_else(PoisonError::into_inner);
    ensure!(!lags.is_empty(), "no booking was followed");
    let ms = |percentile| {
        let micros = u32::try_from(lags.value_at_percentile(percentile)).unwrap_or(u32::MAX);
        f64::from(micros) / 1000.0
    };
    println!(
        "lag of {} bookings: p50 {:.2} ms, p90 {:.2}, p99 {:.2}, max {:.2}",
        lags.len(),
        ms(50.0),
        ms(90.0),
        ms(99.0),
        ms(100.0)
    );
    if options.json {
        let result = serde_json::json!({
            "bench": "lag",
            "mode": options.mode.name(),
            "machine": machine::facts(),
            "rate": rate.round(),
            "lag_p50_ms": ms(50.0),
            "lag_p90_ms": ms(90.0),
            "lag_p99_ms": ms(99.0),
            "lag_max_ms": ms(100.0),
            "followed": lags.len(),
            "errors": outcome.failed.values().sum::<u64>(),
        });
        println!("{result}");
    }
    Ok(())
}

/// Looks at the page of whoever booked until the booking is there, confirmed.
async fn follow(view: Channel, booked: Booked, tally: Arc<Mutex<Histogram<u64>>>) -> Result<()> {
    let begin = Instant::now();
    let mut views = ViewServiceClient::new(view);
    let mut look = tokio::time::interval(LOOK);
    while begin.elapsed() < PATIENCE {
        look.tick().await;
        let mut request = Request::new(ListMyPageRequest {
            page_size: 5,
            ..ListMyPageRequest::default()
        });
        let token = booked.customer.token.clone();
        request.metadata_mut().insert("authorization", token);
        let page = views.list_my_page(request).await?.into_inner();
        let shown = page
            .entries
            .iter()
            .find(|it| it.reservation_id == booked.id);
        if shown.is_some_and(|it| it.status() == CONFIRMED) {
            break;
        }
    }
    let took = u64::try_from(begin.elapsed().as_micros()).context("too long")?;
    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    tally.saturating_record(took);
    Ok(())
}

const CONFIRMED: berth::reservation::v1::ReservationStatus =
    berth::reservation::v1::ReservationStatus::Confirmed;
