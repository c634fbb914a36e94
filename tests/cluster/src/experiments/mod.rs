//! The experiments. Each is a function that makes a change or a fault, asserts what must follow, and returns its figures.

mod backup;
mod config;
mod database;
mod hang;
mod install;
mod kill;
mod mesh;
mod rbac;
mod rolling;
mod scale;

use std::time::Instant;

use anyhow::{Context, Result};
use clap::builder::PossibleValuesParser;
use futures::future::LocalBoxFuture;

use crate::{Options, release::Release};

type Run = fn(&Release, &Options) -> LocalBoxFuture<'static, Result<String>>;

/// The name of an experiment, what it shows, and how.
type Experiment = (&'static str, &'static str, Run);

macro_rules! experiment {
    ($name:literal, $shows:literal, $run:path) => {
        ($name, $shows, |release, options| {
            let (release, options) = (release.clone(), options.clone());
            Box::pin(async move { $run(&release, &options).await })
        })
    };
}

/// All of them, in the order in which they run.
const EXPERIMENTS: &[Experiment] = &[
    experiment!(
        "install",
        "from `helm install` to the first booking",
        install::first_booking
    ),
    experiment!("test", "`helm test` plays the demo", install::helm_test),
    experiment!(
        "rbac",
        "service accounts and pods may do nothing that they do not need",
        rbac::denied
    ),
    experiment!(
        "config",
        "a changed setting replaces the pods that use it, and no other",
        config::one_service
    ),
    experiment!(
        "rolling",
        "no request fails during upgrades and rollbacks",
        rolling::nothing_fails
    ),
    experiment!(
        "careless",
        "without drain and readiness requests do fail",
        rolling::careless
    ),
    experiment!(
        "kill",
        "no acknowledged booking is lost with a killed process",
        kill::nothing_lost
    ),
    experiment!("hang", "a process that hangs is replaced", hang::replaced),
    experiment!(
        "database",
        "a lost database makes pods unready and restarts none; its volume survives",
        database::lost
    ),
    experiment!("scale", "load brings one replica to three", scale::out),
    experiment!("backup", "a restored backup books on", backup::restored),
    experiment!(
        "mesh",
        "the API server accepts the objects of the mesh",
        mesh::accepted
    ),
];

/// The parser of their names.
pub(crate) fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(EXPERIMENTS.iter().map(|(name, ..)| *name))
}

/// Runs experiments, until one fails.
pub(crate) fn run(options: &Options, names: &[String]) -> Result<()> {
    let release = Release::of(options);
    let runtime = tokio::runtime::Runtime::new()?;
    for (name, shows, run) in EXPERIMENTS {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        println!("\n=== {name}: {shows}");
        let began = Instant::now();
        let figures = runtime.block_on(run(&release, options));
        let figures = figures.with_context(|| format!("experiment `{name}`"))?;
        println!("{figures}\n({:.0} s)", began.elapsed().as_secs_f64());
    }
    Ok(())
}
