//! `campaign <name>`: failure tests of the platform as separate processes, in a large size.

#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::time::Duration;

use anyhow::Result;
use campaigns::{broker, outages, rolling, scale};
use chassis::base::flag_values::duration;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Failure tests of the platform as separate processes under load")]
struct Cli {
    /// Number of concurrent users
    #[arg(long, global = true, default_value_t = 16, value_name = "N")]
    people: usize,
    #[command(subcommand)]
    campaign: Campaign,
}

#[derive(Subcommand)]
enum Campaign {
    /// S29: a rolling restart of all processes, repeatedly
    Rolling {
        /// Number of requests to answer
        #[arg(long, default_value_t = 100_000, value_name = "N")]
        requests: u64,
    },
    /// S16, S22: the broker loses its data, hangs, and is down
    Broker {
        /// Duration of each other phase
        #[arg(long, default_value = "10s", value_parser = duration, value_name = "TIME")]
        calm: Duration,
        /// Duration of the outage
        #[arg(long, default_value = "10m", value_parser = duration, value_name = "TIME")]
        away: Duration,
    },
    /// S21: `view` scales from one replica to four and back, with a backlog
    Scale {
        /// Number of events in the backlog
        #[arg(long, default_value_t = 1_000_000, value_name = "N")]
        backlog: i64,
    },
    /// S28: each context is killed or paused in turn; prints the table of what still works
    Outages,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Cli { people, campaign } = Cli::parse();
    mesh::build(&mesh::contexts())?;
    let report = match campaign {
        Campaign::Rolling { requests } => rolling::restart_everything(requests, people).await?,
        Campaign::Broker { calm, away } => broker::lose_the_broker(calm, away, people).await?,
        Campaign::Scale { backlog } => scale::scale_out_and_in(backlog, people).await?,
        Campaign::Outages => outages::table().await?,
    };
    println!("{report}");
    Ok(())
}
