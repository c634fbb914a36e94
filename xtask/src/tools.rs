//! The tools cargo does not bring, each pinned, installed below `target/tools` by the client of its registry.
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::steps::run;

const BUF: &str = "@bufbuild/buf@1.75.0";
const DENY: &str = "0.20.2";
const PYTHON: &[&str] = &[
    "grpcio==1.85.1",
    "grpcio-tools==1.85.1",
    "protobuf==7.36.2",
    "typing_extensions==4.16.0",
];

/// `buf`, the linter of contracts; none without npm.
pub(crate) fn buf() -> Result<Option<PathBuf>> {
    if !found("npm", "buf lint")? {
        return Ok(None);
    }
    let home = home("npm");
    once(&home, BUF, || {
        run(Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--ignore-scripts"])
            .args(["--loglevel=error", "--prefix"])
            .args([home.as_os_str(), BUF.as_ref()]))
    })?;
    Ok(Some(home.join("node_modules/.bin/buf")))
}

/// `cargo-deny`, which judges dependencies.
pub(crate) fn deny() -> Result<PathBuf> {
    let home = home("deny");
    once(&home, DENY, || {
        run(cargo()
            .args(["install", "--quiet", "--locked", "cargo-deny", "--version"])
            .args([DENY, "--root"])
            .arg(&home))
    })?;
    Ok(home.join("bin/cargo-deny"))
}

/// A Python that can speak gRPC, for clients generated from the contracts; none without python3.
pub(crate) fn python() -> Result<Option<PathBuf>> {
    if !found("python3", "clients in Python")? {
        return Ok(None);
    }
    let home = home("python");
    let python = home.join("bin/python");
    once(&home, &PYTHON.join(" "), || {
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&home))?;
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet"])
            .arg("--disable-pip-version-check")
            .args(PYTHON))
    })?;
    Ok(Some(python))
}

/// The cargo that runs this.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

fn home(tool: &str) -> PathBuf {
    root().join("target/tools").join(tool)
}

/// Installs what is not yet there in this version. The stamp is written last, so half an installation is done again.
fn once(home: &Path, version: &str, install: impl FnOnce() -> Result<()>) -> Result<()> {
    let stamp = home.join("version");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == version) {
        return Ok(());
    }
    fs::create_dir_all(home)?;
    install().with_context(|| format!("cannot install {version}"))?;
    Ok(fs::write(stamp, version)?)
}

/// Whether a program is there. Without it a developer goes on, loudly; CI does not.
fn found(program: &str, purpose: &str) -> Result<bool> {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found && env::var_os("CI").is_some_and(|ci| ci == "true") {
        bail!("{program} is not installed: no {purpose}");
    }
    if !found {
        eprintln!("\n!!! {program} is not installed: NO {purpose} this time !!!");
    }
    Ok(found)
}
