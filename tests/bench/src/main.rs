//! Benchmarks of the platform: throughput, latency, and the cost of a booking on this machine.
//!
//! The platform runs in processes of its own, so that its CPU time and memory can be measured. Latencies are measured in an
//! open loop: arrivals do not wait for responses, and time counts from the intended start. Capacity is measured in a closed
//! loop. All programs, also the bare server of `hop`, use the allocator of the chassis.

#![expect(clippy::print_stdout, reason = "a program that prints")]

mod booking;
mod bus;
mod catchup;
mod hop;
mod lag;
mod load;
mod machine;
mod overload;
mod platform;
mod sign_in;
mod step;
mod unread;
mod world;

use clap::{Parser, Subcommand};
use platform::Mode;

#[derive(Debug, Parser)]
#[command(about = "Measures the platform on this machine")]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Complete durable bookings: request, charge and confirm.
    Booking(booking::Options),
    /// Holds only: requests that await the host's approval.
    Hold(booking::Options),
    /// The time from the response of a booking until the view shows it.
    Lag(lag::Options),
    /// How fast `view` catches up after an outage.
    Catchup(catchup::Options),
    /// Throughput of NATS JetStream, and the cost of an event there.
    Bus(bus::Options),
    /// The cost of a call: the platform's public port compared with a bare tonic server.
    Hop(hop::Options),
    /// The cost of a command on the store alone, embedded or on PostgreSQL.
    Step(step::Options),
    /// A load several times the capacity: goodput, shed requests, and recovery.
    Overload(overload::Options),
    /// Many connections of one address that receive nothing of the responses: memory, and latency of another client.
    Unread(unread::Options),
    /// Many sign-ins at once from one address: how fast those that are too many are refused, and latency of other requests.
    SignIn(sign_in::Options),
    /// The bare tonic server of `hop`.
    #[command(hide = true)]
    Bare { listen: String },
}

impl Bench {
    /// How the platform runs, if the benchmark needs it.
    fn mode(&self) -> Option<Mode> {
        match self {
            Self::Booking(options) | Self::Hold(options) => Some(options.mode),
            Self::Lag(options) => Some(options.mode),
            Self::Overload(options) => Some(options.mode),
            Self::Catchup(_) => Some(Mode::Mesh),
            Self::Hop(_) | Self::Unread(_) | Self::SignIn(_) => Some(Mode::One),
            Self::Bus(_) | Self::Step(_) | Self::Bare { .. } => None,
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let bench = Cli::parse().bench;
    if let Some(mode) = bench.mode() {
        mode.build()?;
    }
    match bench {
        Bench::Booking(options) => booking::run(world::Kind::Booking, options).await,
        Bench::Hold(options) => booking::run(world::Kind::Hold, options).await,
        Bench::Lag(options) => lag::run(options).await,
        Bench::Catchup(options) => catchup::run(options).await,
        Bench::Bus(options) => bus::run(options).await,
        Bench::Hop(options) => hop::run(options).await,
        Bench::Step(options) => step::run(options).await,
        Bench::Overload(options) => overload::run(options).await,
        Bench::Unread(options) => unread::run(options).await,
        Bench::SignIn(options) => sign_in::run(options).await,
        Bench::Bare { listen } => hop::serve_bare(&listen).await,
    }
}
