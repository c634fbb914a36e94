//! The platform as separate processes: the crate `mesh` has them, as long as it runs.
use std::{env, os::unix::process::CommandExt, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{
    steps::run,
    tools::{self, cargo, root},
};

/// Builds everything and becomes the platform.
pub(crate) fn up(release: bool, arguments: &[String]) -> Result<()> {
    let mut build = cargo();
    build.args(["build", "--workspace", "--bins", "--exclude", "xtask"]);
    if release {
        build.arg("--release");
    }
    run(&mut build)?;
    let mut up = Command::new(mesh(if release { "release" } else { "debug" })?);
    up.current_dir(root()).arg("up").args(arguments);
    for (name, binary) in [
        ("BERTH_TEST_NATS_SERVER", tools::nats()?),
        ("BERTH_TEST_POSTGRES_BIN", tools::postgres()?),
    ] {
        if let Some(binary) = binary {
            up.env(name, binary);
        }
    }
    // In its place, so that Ctrl-C is its affair alone.
    Err(up.exec()).context("cannot start the platform")
}

/// Tells it to stop, and waits until everything is gone.
pub(crate) fn down() -> Result<()> {
    let built = [mesh("debug")?, mesh("release")?];
    match built.iter().find(|mesh| mesh.is_file()) {
        Some(mesh) => run(Command::new(mesh).arg("down")),
        // What was never built is not up.
        None => Ok(()),
    }
}

/// The program, which lies beside this one: `target/debug/xtask`.
fn mesh(profile: &str) -> Result<PathBuf> {
    let here = env::current_exe()?;
    let target = here.ancestors().nth(2).context("no target directory")?;
    Ok(target.join(profile).join("mesh"))
}
