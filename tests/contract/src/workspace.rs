//! Which crate of the workspace depends on which.
use std::{env, process::Command};

use anyhow::{Result, ensure};
use serde::Deserialize;

/// A crate of the workspace, as `cargo metadata` shows it.
#[derive(Deserialize)]
pub struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build`, or none for a normal one.
    kind: Option<String>,
    /// Its directory, if it is a crate of the workspace.
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

/// A context depends on the contracts (`berth`), the chassis and, for its `main.rs`, on `recovery`; its tests also on
/// `chassis-testing`. So no context depends on another one. Only the crate `all` depends on every context.
pub fn dependencies(packages: &[Package]) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in packages {
        let (library, tests): (&[&str], &[&str]) = match package.name.as_str() {
            _ if !package.manifest_path.contains("/services/") => continue,
            "all" => continue,
            // The servers are those of its tests.
            "chassis" => (&["berth"], &["chassis-testing", "recovery", "servers"]),
            "chassis-testing" | "recovery" => (&["berth", "chassis"], &["servers"]),
            _ => (&["berth", "chassis", "recovery"], &["chassis-testing"]),
        };
        for Dependency { name, kind, path } in &package.dependencies {
            let is_test = kind.as_deref() == Some("dev");
            let allowed =
                library.contains(&name.as_str()) || (is_test && tests.contains(&name.as_str()));
            if path.is_some() && !allowed {
                wrong.push(format!("{} must not depend on {name}", package.name));
            }
        }
    }
    wrong
}
