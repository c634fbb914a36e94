//! The renderings of the chart: `cargo xtask chart` makes one for each way to install it.
use std::{collections::BTreeMap, env, fs};

use anyhow::Result;
use serde_json::json;

use super::{
    Deployment,
    objects::{Objects, at, list},
    platform::Platform,
};

/// The variable with their directory.
const VARIABLE: &str = "BERTH_TEST_CHART";

/// All renderings by name, each with the platform that it must deploy.
///
/// # Panics
///
/// Without renderings: a test must not pass without what it judges.
#[expect(clippy::panic, reason = "a test may panic")]
pub fn renderings() -> Result<BTreeMap<String, Deployment>> {
    let Some(directory) = env::var_os(VARIABLE) else {
        panic!(
            "{VARIABLE} is not set: `cargo xtask test` sets it; by hand: the directory target/chart, after `cargo xtask chart`"
        );
    };
    let platform = Platform::read()?;
    let mut renderings = BTreeMap::new();
    for file in fs::read_dir(directory)? {
        let file = file?.path();
        if file.extension().is_some_and(|end| end == "yaml") {
            let name = file.file_stem().unwrap_or_default().display().to_string();
            let objects = Objects::parse(&fs::read_to_string(&file)?)?;
            let platform = platform.clone();
            let platform = if is_one_process(&objects) {
                platform.in_one_process()
            } else {
                platform
            };
            renderings.insert(name, Deployment { objects, platform });
        }
    }
    Ok(renderings)
}

/// Whether a rendering runs all contexts in one process.
fn is_one_process(objects: &Objects) -> bool {
    objects.pods().iter().any(|pod| {
        let mut containers = list(pod.spec, "containers").iter();
        !pod.is_job() && containers.any(|container| *at(container, "command") == json!(["/berth"]))
    })
}
