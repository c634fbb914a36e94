//! `bus`: throughput, CPU cost and latency of events on NATS JetStream.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use chassis::{
    Recorded,
    domain::{digest::LogDigest, event::Cause, log_id::LogId, position::Position},
    messaging::{
        bus::{Bus, Signal, Subscription},
        jetstream::{JetStream, NatsSettings},
    },
    runtime::config::Config,
};
use clap::Args;
use hdrhistogram::Histogram;
use mesh::{Nats, NatsOptions};

use crate::machine;

/// Events published together, like those of the relay.
const BATCH: i64 = 256;
/// Events in a second while latencies are measured.
const PACE: u64 = 500;

/// How to measure.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Options {
    /// Print one JSON object as the last line.
    #[arg(long)]
    json: bool,
    /// Events of each throughput measurement.
    #[arg(long, default_value_t = 200_000)]
    events: i64,
    /// Length of each latency measurement in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

/// Throughput, and CPU microseconds of one event in this process and in the broker.
struct Cost {
    per_second: f64,
    here: f64,
    broker: f64,
}

/// A broker with one stream; this process publishes and consumes.
struct Bench {
    nats: Nats,
    bus: JetStream,
    topic: LogId,
    next: i64,
}

/// Measures and reports.
pub(crate) async fn run(options: Options) -> Result<()> {
    println!("{}", machine::facts());
    let mut bench = Bench::start().await?;
    let count = options.events - options.events % BATCH;

    drop(bench.feed().await?);
    let publish = bench
        .cost(count, async |bench| bench.publish(count).await)
        .await?;
    println!("published: {publish}");
    let held = machine::resident_mib(std::process::id())?;
    let mut feed = bench.feed().await?;
    let consume = bench
        .cost(count, async |bench| {
            consume_until(&mut feed, bench.next - 1).await
        })
        .await?;
    println!("consumed from a backlog: {consume}");
    let grown = machine::resident_mib(std::process::id())? - held;
    println!("memory grew by {grown:.1} MiB while {count} events were consumed");
    let both = bench
        .cost(count, async |bench| {
            let last = bench.next + count - 1;
            let (published, consumed) =
                tokio::join!(bench.publish(count), consume_until(&mut feed, last));
            published.and(consumed)
        })
        .await?;
    println!("published and consumed concurrently: {both}");

    let idle = bench.latency(&mut feed, options.seconds).await?;
    println!("latency on an idle machine: {}", show(&idle));
    let load = Load::half();
    let loaded = bench.latency(&mut feed, options.seconds).await?;
    println!("latency with half of the cores busy: {}", show(&loaded));
    drop(load);
    if options.json {
        let result = serde_json::json!({
            "bench": "bus",
            "machine": machine::facts(),
            "published_per_second": publish.per_second.round(),
            "publish_cpu_us": publish.here,
            "publish_broker_cpu_us": publish.broker,
            "taken_per_second": consume.per_second.round(),
            "take_cpu_us": consume.here,
            "take_broker_cpu_us": consume.broker,
            "both_per_second": both.per_second.round(),
            "memory_grown_mib": grown,
            "idle_p50_us": idle.value_at_quantile(0.5),
            "idle_p99_us": idle.value_at_quantile(0.99),
            "busy_p50_us": loaded.value_at_quantile(0.5),
            "busy_p99_us": loaded.value_at_quantile(0.99),
        });
        println!("{result}");
    }
    Ok(())
}

impl Bench {
    async fn start() -> Result<Self> {
        let nats = Nats::start(NatsOptions::default())?;
        let settings = NatsSettings {
            nats_url: Some(nats.url().into()),
            nats_max_bytes: 4 << 30,
            ..Config::default().nats
        };
        let bus = JetStream::connect(&settings, "bench", BTreeMap::new()).await?;
        let mut polls = tokio::time::interval(Duration::from_millis(10));
        while !bus.is_connected() {
            polls.tick().await;
        }
        let topic = LogId::of("room");
        bus.high_water_mark(&topic).await?;
        Ok(Self {
            nats,
            bus,
            topic,
            next: 1,
        })
    }

    async fn feed(&self) -> Result<Box<dyn Subscription>> {
        Ok(self
            .bus
            .subscribe(self.topic.clone(), &"bench".into())
            .await?)
    }

    /// Publishes a number of events in batches, like the relay.
    async fn publish(&mut self, count: i64) -> Result<()> {
        let end = self.next + count;
        while self.next < end {
            let last = (self.next + BATCH).min(end) - 1;
            let events = (self.next..=last).map(event).collect();
            let mark = Position {
                seq: last,
                digest: digest(last),
                ..Position::START
            };
            self.bus.publish(self.topic.clone(), events, mark).await?;
            self.next = last + 1;
        }
        Ok(())
    }

    /// Measures the cost of an event while `work` handles `count` of them.
    async fn cost(
        &mut self,
        count: i64,
        work: impl AsyncFnOnce(&mut Self) -> Result<()>,
    ) -> Result<Cost> {
        let broker = self.nats.pid().context("no broker")?;
        let used = || {
            anyhow::Ok((
                machine::cpu_seconds(std::process::id())?,
                machine::cpu_seconds(broker)?,
            ))
        };
        let ((here, there), began) = (used()?, Instant::now());
        work(self).await?;
        let took = began.elapsed().as_secs_f64();
        let (here, there) = (used()?.0 - here, used()?.1 - there);
        let count = f64::from(i32::try_from(count)?);
        Ok(Cost {
            per_second: count / took,
            here: here * 1e6 / count,
            broker: there * 1e6 / count,
        })
    }

    /// Measures the latency of single events in microseconds.
    async fn latency(
        &mut self,
        feed: &mut Box<dyn Subscription>,
        seconds: u64,
    ) -> Result<Histogram<u64>> {
        let mut took = Histogram::new(3)?;
        let mut pace = tokio::time::interval(Duration::from_secs(1) / u32::try_from(PACE)?);
        for _ in 0..seconds * PACE {
            pace.tick().await;
            let began = Instant::now();
            let last = self.next;
            let (published, consumed) = tokio::join!(self.publish(1), async {
                consume_until(feed, last).await?;
                anyhow::Ok(began.elapsed())
            });
            published?;
            took.saturating_record(u64::try_from(consumed?.as_micros())?);
        }
        Ok(took)
    }
}

/// Consumes events up to a sequence number, and checks that there is no gap.
async fn consume_until(feed: &mut Box<dyn Subscription>, last: i64) -> Result<()> {
    let mut position = None;
    while position != Some(last) {
        if let Signal::Events(events) = feed.next().await? {
            for event in events {
                ensure!(
                    position.is_none_or(|position| event.seq == position + 1),
                    "an event is missing"
                );
                position = Some(event.seq);
            }
            feed.acknowledge().await;
        }
    }
    Ok(())
}

/// Another digest for each event: the broker drops repeats.
fn digest(seq: i64) -> LogDigest {
    let number = u128::from(seq.unsigned_abs());
    LogDigest::from_bytes(&number.to_be_bytes()).unwrap_or_default()
}

fn event(seq: i64) -> Recorded {
    Recorded {
        producer: "room".into(),
        seq,
        digest: digest(seq),
        id: uuid::Uuid::from_u128(seq.unsigned_abs().into()).to_string(),
        event_type: "berth.room.v1.RoomReserved".into(),
        subject: uuid::Uuid::nil().to_string(),
        version: 1,
        at: chassis_testing::noon(),
        data: vec![7; 256].into(),
        cause: Cause {
            actor: uuid::Uuid::nil().to_string(),
            correlation: uuid::Uuid::nil().to_string(),
            ..Cause::default()
        },
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            per_second,
            here,
            broker,
        } = self;
        write!(
            f,
            "{per_second:.0} events/s; CPU of one {here:.1} µs here, {broker:.1} µs in the broker"
        )
    }
}

fn show(took: &Histogram<u64>) -> String {
    let at = |quantile| took.value_at_quantile(quantile);
    format!(
        "p50 {} µs, p90 {}, p99 {}, max {}",
        at(0.5),
        at(0.9),
        at(0.99),
        took.max()
    )
}

/// Threads that keep cores busy until this is dropped.
struct Load(std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Load {
    fn half() -> Self {
        let stop = std::sync::Arc::<std::sync::atomic::AtomicBool>::default();
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        for _ in 0..cores / 2 {
            let stop = stop.clone();
            std::thread::spawn(move || {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Self(stop)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}
