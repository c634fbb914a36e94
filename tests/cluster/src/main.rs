//! `cluster`: a real Kubernetes of one node on this machine, and experiments with the platform in it. `cargo xtask cluster`
//! builds everything that it needs.

#![expect(clippy::print_stdout, reason = "a program that prints")]
#![expect(
    clippy::indexing_slicing,
    reason = "a field that an object of Kubernetes lacks is null"
)]

mod experiments;
mod kubernetes;
mod node;
mod release;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use node::Node;

#[derive(Debug, Parser)]
#[command(
    about = "The platform in a real Kubernetes of one node: installed, upgraded and disturbed"
)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    what: Option<What>,
}

/// Where its parts are.
#[derive(Clone, Debug, Args)]
struct Options {
    /// Directory of the programs of Kubernetes
    #[arg(long, env = "BERTH_CLUSTER_PROGRAMS", hide_env = true)]
    programs: PathBuf,
    /// Directory of the images
    #[arg(long, env = "BERTH_CLUSTER_IMAGES", hide_env = true)]
    images: PathBuf,
    /// Root of the repository
    #[arg(long, env = "BERTH_CLUSTER_REPOSITORY", hide_env = true)]
    repository: PathBuf,
    /// The program Helm
    #[arg(long, env = "BERTH_CLUSTER_HELM", hide_env = true)]
    helm: PathBuf,
    /// Directory of CustomResourceDefinitions of the mesh, so that the API server checks its policies
    #[arg(long, global = true, value_name = "DIR")]
    with_crds: Option<PathBuf>,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// Starts Kubernetes, until Ctrl-C or `down`
    Up,
    /// Runs experiments in the Kubernetes that `up` started
    Run(Names),
    /// Stops what `up` started
    Down,
    /// Runs experiments, inside of the namespaces of the node
    #[command(hide = true)]
    Inside(Names),
}

/// Experiments.
#[derive(Clone, Debug, Default, Args)]
struct Names {
    /// Names of experiments; default: all
    #[arg(value_parser = experiments::names())]
    experiments: Vec<String>,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(Cli { options, what }: Cli) -> Result<()> {
    match what {
        // Inside there is one program for everything that follows.
        Some(What::Inside(names)) => experiments::run(&options, &names.experiments),
        Some(What::Up) => {
            let node = Node::start(&options)?;
            println!("{}", node.how_to_use(&options));
            node.wait()
        }
        Some(What::Run(names)) => node::run_inside(&options, &names.experiments),
        Some(What::Down) => node::down(&options),
        None => Node::start(&options)?.run(&options, &[]),
    }
}
