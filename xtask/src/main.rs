//! `cargo xtask …`: the commands that developers and CI run on Berth. Only cargo is needed to start them.
mod advisories;
mod chart;
mod cluster;
mod image;
mod run;
mod servers;
mod steps;
mod tools;
mod up;
mod workflows;

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about)]
enum Verb {
    /// Checks formatting, contracts, lints, documentation and dependencies; runs no tests
    Check,
    /// Checks the dependencies against the newest advisories of RustSec, and fails if they cannot be fetched; `check` only
    /// warns then
    Advisories,
    /// Runs everything that CI runs: `check` and all tests
    Test,
    /// Checks the Helm chart with Helm 3 and 4: values, objects, alerts, and what is rendered for the mesh
    Chart,
    /// Runs a benchmark: `cargo xtask bench <name> [--json] …`; the crate `bench` reads the arguments
    Bench {
        /// The name of the benchmark and its options
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Runs a large failure test: `cargo xtask campaign <name> …`; the crate `campaigns` reads the arguments
    Campaign {
        /// The name of the campaign and its options
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Runs a command with PostgreSQL and NATS, as all tests have them:
    /// `cargo xtask servers -- cargo test -p chassis`
    Servers {
        /// The command
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
    /// Runs the platform as separate processes behind a balancer, until Ctrl-C: `cargo xtask up [--release] [--replicas N]`
    Up {
        /// Build with optimisations
        #[arg(long)]
        release: bool,
        /// Options of the crate `mesh`: `--replicas`, `--listen`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Stops the platform that `up` started
    Down,
    /// Writes container images of the platform to `target/images`, without a container engine: OCI archives that are equal for
    /// equal sources
    Image {
        /// The tag of the images
        #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
        tag: String,
    },
    /// Runs the platform in a real Kubernetes of one node on this machine, and experiments with it: `cargo xtask cluster`, or
    /// `… cluster up`, `… cluster run [<experiment>…]`, `… cluster down`. Needs root on Linux; the crate `cluster` reads the
    /// arguments
    Cluster {
        /// What to do, and its options
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Installs the tools of `check` and `test` into the user's cache: `$BERTH_CACHE`, `$XDG_CACHE_HOME/berth` or
    /// `~/.cache/berth`
    Tools,
}

fn main() -> ExitCode {
    let done = match Verb::parse() {
        Verb::Check => steps::check(),
        Verb::Advisories => advisories::check(),
        Verb::Test => steps::test(),
        Verb::Chart => chart::check().map(drop),
        Verb::Bench { arguments } => run::bench(&arguments),
        Verb::Campaign { arguments } => run::campaign(&arguments),
        Verb::Servers { command } => servers::run(&command),
        Verb::Up { release, arguments } => up::up(release, &arguments),
        Verb::Down => up::down(),
        Verb::Cluster { arguments } => cluster::cluster(&arguments),
        Verb::Image { tag } => image::images(&tag),
        Verb::Tools => steps::install_tools(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
