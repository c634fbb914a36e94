//! Benchmarks: programs that say how fast the platform is and what a booking costs, on this machine, now.
//!
//! The platform runs as a process of its own, so its CPU time and memory are its own. Latencies are taken in an open loop
//! (arrivals do not wait for answers, and time counts from the intended start), capacity in a closed one.

#![expect(clippy::print_stdout, reason = "a program that prints")]

mod booking;
mod hop;
mod load;
mod machine;
mod platform;

use clap::{Parser, Subcommand};

/// The platform's allocator, so that the bare server of `hop` differs in nothing else.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    /// A call: what the platform's port costs over a bare tonic server.
    Hop(hop::Options),
    /// The bare tonic server of `hop`.
    #[command(hide = true)]
    Bare { listen: String },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().bench {
        Bench::Booking(options) => booking::run(booking::Kind::Booking, options).await,
        Bench::Hold(options) => booking::run(booking::Kind::Hold, options).await,
        Bench::Hop(options) => hop::run(options).await,
        Bench::Bare { listen } => hop::serve_bare(&listen).await,
    }
}
