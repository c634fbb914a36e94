//! Benchmarks: programs that say how fast the platform is and what a booking costs, on this machine, now.
//!
//! The platform runs as a process of its own, so its CPU time and memory are its own. Latencies are taken in an open loop
//! (arrivals do not wait for answers, and time counts from the intended start), capacity in a closed one. The allocator is
//! the platform's, which comes with the chassis, so that the bare server of `hop` differs in nothing else.

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
mod step;
mod world;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about = "Measures the platform on this machine")]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Full bookings, durable: request, charge and confirm.
    Booking(booking::Options),
    /// Holds only: requests that wait for their host.
    Hold(booking::Options),
    /// How long after its answer a booking is on the screen.
    Lag(lag::Options),
    /// How fast `view` takes what it has missed.
    Catchup(catchup::Options),
    /// What NATS JetStream carries, and what an event costs there.
    Bus(bus::Options),
    /// A call: what the platform's port costs over a bare tonic server.
    Hop(hop::Options),
    /// A step: what a command costs on the store alone, embedded or on PostgreSQL.
    Step(step::Options),
    /// Several times what the platform can do: what is refused, how fast, and what becomes of the rest.
    Overload(overload::Options),
    /// The bare tonic server of `hop`.
    #[command(hide = true)]
    Bare { listen: String },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().bench {
        Bench::Booking(options) => booking::run(world::Kind::Booking, options).await,
        Bench::Hold(options) => booking::run(world::Kind::Hold, options).await,
        Bench::Lag(options) => lag::run(options).await,
        Bench::Catchup(options) => catchup::run(options).await,
        Bench::Bus(options) => bus::run(options).await,
        Bench::Hop(options) => hop::run(options).await,
        Bench::Step(options) => step::run(options).await,
        Bench::Overload(options) => overload::run(options).await,
        Bench::Bare { listen } => hop::serve_bare(&listen).await,
    }
}
