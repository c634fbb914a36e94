//! `campaign <name>`: the large sizes of what the tests do in small.

#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::time::Duration;

use anyhow::Result;
use campaigns::{broker, outages, rolling, scale};
use chassis::base::flag_values::duration;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "The platform as separate processes, under load, while things go wrong")]
struct Told {
    /// How many people use it at the same time
    #[arg(long, global = true, default_value_t = 16, value_name = "N")]
    people: usize,
    #[command(subcommand)]
    campaign: Campaign,
}

#[derive(Subcommand)]
enum Campaign {
    /// S29: every process is restarted, again and again
    Rolling {
        /// Until so many requests were answered
        #[arg(long, default_value_t = 100_000, value_name = "N")]
        requests: u64,
    },
    /// S16, S22: the broker loses everything, stands still and stays away
    Broker {
        /// How long each of its states lasts
        #[arg(long, default_value = "10s", value_parser = duration, value_name = "TIME")]
        calm: Duration,
        /// How long it stays away
        #[arg(long, default_value = "10m", value_parser = duration, value_name = "TIME")]
        away: Duration,
    },
    /// S21: one replica, four, one, and a backlog
    Scale {
        /// So many events are missed
        #[arg(long, default_value_t = 1_000_000, value_name = "N")]
        backlog: i64,
    },
    /// S28: each context dead, and each standing still; writes the table of what still works
    Outages,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Told { people, campaign } = Told::parse();
    let told = match campaign {
        Campaign::Rolling { requests } => rolling::restart_everything(requests, people).await?,
        Campaign::Broker { calm, away } => broker::lose_the_broker(calm, away, people).await?,
        Campaign::Scale { backlog } => scale::scale_out_and_in(backlog, people).await?,
        Campaign::Outages => outages::table().await?,
    };
    println!("{told}");
    Ok(())
}
