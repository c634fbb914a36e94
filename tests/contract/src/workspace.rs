//! Which crate of the house depends on which.
use std::{env, process::Command};

use anyhow::{Result, ensure};
use serde::Deserialize;

/// A crate of the workspace, as `cargo metadata` tells of it.
#[derive(Deserialize)]
pub struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// Where it is, if it is of the house.
    path: Option<String>,
}

/// The crates of the workspace.
pub fn packages() -> Result<Vec<Package>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice::<Metadata>(&output.stdout)?.packages)
}

/// Contexts do not know each other: of the house they use the contracts and the chassis, and the chassis the contracts.
/// Only the crate `all` knows everybody.
pub fn strangers(packages: &[Package]) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in packages {
        let friends: &[&str] = match package.name.as_str() {
            _ if !package.manifest_path.contains("/services/") => continue,
            "all" => continue,
            // The servers are those of its tests, and know nobody.
            "chassis" => &["berth", "servers"],
            _ => &["berth", "chassis"],
        };
        for Dependency { name, path } in &package.dependencies {
            if path.is_some() && !friends.contains(&name.as_str()) {
                wrong.push(format!("{} must not depend on {name}", package.name));
            }
        }
    }
    wrong
}
