//! Runs other programs at the root of the repository, and builds the binaries that they need.
use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::tools::{cargo, root};

/// Runs a command at the root of the repository. It must succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    run_in(root(), command)
}

/// Runs a command in a directory. It must succeed.
pub(crate) fn run_in(dir: &Path, command: &mut Command) -> Result<()> {
    let status = command
        .current_dir(dir)
        .status()
        .with_context(|| format!("cannot run {command:?}"))?;
    ensure!(
        status.success(),
        "{} ended with {status}",
        command.get_program().display()
    );
    Ok(())
}

/// Runs a benchmark. The crate `bench` builds the binaries that this benchmark needs.
pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    run_package("bench", arguments)
}

/// Runs a campaign. The crate `campaigns` builds the contexts.
pub(crate) fn campaign(arguments: &[String]) -> Result<()> {
    run_package("campaigns", arguments)
}

/// Builds a package with optimisations, and runs its binary.
fn run_package(package: &str, arguments: &[String]) -> Result<()> {
    eprintln!("=== build of {package}");
    run(cargo()
        .args(["run", "--release", "--package", package, "--"])
        .args(arguments))
}

/// Builds the platform and `mesh`; nothing else of the workspace.
pub(crate) fn build_platform(release: bool) -> Result<()> {
    let mut packages = services()?;
    packages.push("mesh".to_owned());
    eprintln!("=== build of {}", packages.join(", "));
    let mut build = cargo();
    build.args(["build", "--bins"]);
    build.args(packages.iter().flat_map(|package| ["--package", package]));
    if release {
        build.arg("--release");
    }
    run(&mut build)
}

/// The packages below `services` that have a binary: the contexts and `all`.
pub(crate) fn services() -> Result<Vec<String>> {
    let mut services = Vec::new();
    for service in fs::read_dir(root().join("services"))? {
        let service = service?;
        if service.path().join("src/main.rs").is_file() {
            services.push(service.file_name().to_string_lossy().into_owned());
        }
    }
    services.sort();
    Ok(services)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_is_the_contexts_and_all_in_one() {
        let services = services().unwrap();
        assert!(
            ["all", "room", "view"]
                .iter()
                .all(|name| services.iter().any(|it| it == name))
        );
        assert!(!services.iter().any(|name| name == "chassis"));
    }
}
