//! The platform as separate processes, run by the binary `mesh`.
use std::{env, os::unix::process::CommandExt, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{
    run::{build_platform, run},
    tools::{self, root},
};

/// Builds the platform and replaces this process by `mesh up`.
pub(crate) fn up(release: bool, arguments: &[String]) -> Result<()> {
    build_platform(release)?;
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
    // `exec`, so that only `mesh` receives Ctrl-C.
    Err(up.exec()).context("cannot start the platform")
}

/// Stops the platform, and waits until all its processes have ended.
pub(crate) fn down() -> Result<()> {
    let built = [mesh("debug")?, mesh("release")?];
    match built.iter().find(|mesh| mesh.is_file()) {
        Some(mesh) => run(Command::new(mesh).arg("down")),
        // Without a binary the platform was never started.
        None => Ok(()),
    }
}

/// The binary `mesh`, in the same target directory as this one: `target/debug/xtask`.
fn mesh(profile: &str) -> Result<PathBuf> {
    let here = env::current_exe()?;
    let target = here.ancestors().nth(2).context("no target directory")?;
    Ok(target.join(profile).join("mesh"))
}
