//! `cargo xtask …`: what a developer and CI run on Berth. Nothing else is needed beside cargo.
mod servers;
mod steps;
mod tools;
mod up;

use std::process::ExitCode;

use clap::Parser;
use steps::Steps;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about)]
enum Verb {
    /// Looks without running: formatting, contracts, lints, documentation, dependencies
    Check,
    /// Everything CI asks for: `check` and all tests
    Test,
    /// Measures: `cargo xtask bench <name> [--json] …`, passed on to the crate `bench`
    Bench {
        /// The name of the benchmark and its options
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Lets things go wrong on a large scale: `cargo xtask campaign <name> …`, passed on to the crate `campaigns`
    Campaign {
        /// The name of the campaign and its options
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Runs a command while PostgreSQL and NATS run for it, as they do for all tests:
    /// `cargo xtask servers -- cargo test -p chassis`
    Servers {
        /// The command
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
    /// Runs the platform as separate processes behind a balancer, until Ctrl-C: `cargo xtask up [--release] [--replicas N]`
    Up {
        /// Built for speed
        #[arg(long)]
        release: bool,
        /// Passed on to the crate `mesh`: `--replicas`, `--listen`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Stops what `up` started
    Down,
    /// Installs the tools of `check` and `test` below `target/tools`
    Tools,
}

fn main() -> ExitCode {
    let mut steps = Steps::default();
    let done = match Verb::parse() {
        Verb::Check => steps.check(),
        Verb::Test => steps.check().and_then(|()| steps.test()),
        Verb::Bench { arguments } => steps::bench(&arguments),
        Verb::Campaign { arguments } => steps::campaign(&arguments),
        Verb::Servers { command } => servers::run(&command),
        Verb::Up { release, arguments } => up::up(release, &arguments),
        Verb::Down => up::down(),
        Verb::Tools => steps.tools(),
    };
    steps.report();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
