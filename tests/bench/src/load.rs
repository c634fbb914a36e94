//! Load: a closed loop for capacity, an open one for latency.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use rand::Rng;

/// The results of a load.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The number of successes.
    pub(crate) done: u64,
    /// The number of failures, by code and reason.
    pub(crate) failed: BTreeMap<String, u64>,
    /// Its duration.
    pub(crate) elapsed: Duration,
    /// The latencies of all requests in microseconds.
    pub(crate) latency: Histogram<u64>,
}

impl Outcome {
    /// A percentile in milliseconds.
    pub(crate) fn ms(&self, percentile: f64) -> f64 {
        let micros =
            u32::try_from(self.latency.value_at_percentile(percentile)).unwrap_or(u32::MAX);
        f64::from(micros) / 1000.0
    }

    /// Successes in a second.
    pub(crate) fn per_second(&self) -> f64 {
        f64::from(u32::try_from(self.done).unwrap_or(u32::MAX)) / self.elapsed.as_secs_f64()
    }
}

#[derive(Debug)]
struct Tally {
    done: AtomicU64,
    rest: Mutex<(BTreeMap<String, u64>, Histogram<u64>)>,
}

impl Tally {
    fn new() -> Arc<Self> {
        #[expect(clippy::expect_used, reason = "the bounds are constants")]
        let latency = Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds");
        Arc::new(Self {
            done: AtomicU64::new(0),
            rest: Mutex::new((BTreeMap::new(), latency)),
        })
    }

    fn note(&self, took: Duration, result: Result<(), String>) {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        rest.1
            .saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        match result {
            Ok(()) => {
                self.done.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => *rest.0.entry(error).or_default() += 1,
        }
    }

    fn outcome(&self, elapsed: Duration) -> Outcome {
        let rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        Outcome {
            done: self.done.load(Ordering::Relaxed),
            failed: rest.0.clone(),
            elapsed,
            latency: rest.1.clone(),
        }
    }
}

/// A closed loop: each worker sends its next request after the response to the last one.
pub(crate) async fn closed<F, Fut>(workers: u32, time: Duration, work: F) -> Outcome
where
    F: Fn() -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), String>> + Send,
{
    let tally = Tally::new();
    let begin = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..workers {
        let (work, tally) = (work.clone(), tally.clone());
        tasks.spawn(async move {
            while begin.elapsed() < time {
                let start = Instant::now();
                let result = work().await;
                tally.note(start.elapsed(), result);
            }
        });
    }
    tasks.join_all().await;
    tally.outcome(begin.elapsed())
}

/// An open loop: requests arrive at random (Poisson) with a given rate, without waiting for responses. Latency counts from
/// the intended arrival.
pub(crate) async fn open<F, Fut>(rate: f64, time: Duration, work: F) -> Outcome
where
    F: Fn() -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), String>> + Send + 'static,
{
    let tally = Tally::new();
    let begin = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    let mut next = Duration::ZERO;
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    while next < time {
        // A timer is too coarse for single arrivals, so all that are due start together.
        while next > begin.elapsed() {
            tick.tick().await;
        }
        let (intended, tally) = (begin + next, tally.clone());
        let future = work();
        tasks.spawn(async move {
            let result = future.await;
            tally.note(intended.elapsed(), result);
        });
        let random: f64 = rand::rng().random_range(f64::EPSILON..1.0);
        next += Duration::from_secs_f64(-random.ln() / rate);
        while tasks.try_join_next().is_some() {}
    }
    tasks.join_all().await;
    tally.outcome(begin.elapsed())
}
