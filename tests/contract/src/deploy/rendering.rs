//! Renders the chart with Helm.
use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use super::{
    Deployment,
    objects::{Objects, at, list, name_of},
    platform::Platform,
};

/// The variable with the program `helm`.
const VARIABLE: &str = "BERTH_TEST_HELM";

/// Values of the chart: files in its directory, and values of their own.
#[derive(Clone, Copy, Debug)]
pub struct Values<'v> {
    /// For example `values-dev.yaml`.
    pub files: &'v [&'v str],
    /// For example `mesh.enabled=true`.
    pub set: &'v [&'v str],
}

/// The directory of the chart.
pub fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../helm/berth")
}

/// The objects that the chart renders, as the release `berth`.
///
/// # Panics
///
/// Without Helm: a test must not pass without the program that it needs.
#[expect(clippy::panic, reason = "a test may panic")]
pub fn render(values: Values<'_>) -> Result<Objects> {
    let Some(helm) = std::env::var_os(VARIABLE) else {
        panic!("{VARIABLE} is not set: `cargo xtask test` sets it to the program helm");
    };
    let mut command = Command::new(helm);
    command.args(["template", "berth"]).arg(chart());
    for file in values.files {
        command.arg("--values").arg(chart().join(file));
    }
    command.args(values.set.iter().flat_map(|value| ["--set-json", value]));
    let output = command.output().context("cannot run helm")?;
    let problems = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{values:?}: {problems}");
    Objects::parse(std::str::from_utf8(&output.stdout)?)
}

/// The chart with some values, and the platform that it must deploy then.
pub fn deploy(values: Values<'_>, platform: &Platform) -> Result<Deployment> {
    let objects = render(values)?;
    let mut pods = objects.pods().into_iter();
    let in_one = pods.any(|pod| {
        let container = list(pod.spec, "containers").first();
        let command = container.map(|container| at(container, "command"));
        command == Some(&serde_json::json!(["/berth"])) && name_of(pod.owner) == "berth"
    });
    let platform = platform.clone();
    Ok(Deployment {
        platform: if in_one {
            platform.in_one_process()
        } else {
            platform
        },
        objects,
    })
}
