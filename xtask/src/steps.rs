//! The steps of `check` and `test`: each has a headline and is timed, and the first that fails ends the run.
use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{
    servers::Servers,
    tools::{self, cargo, root},
};

/// The steps that were taken, and how long each took.
#[derive(Default)]
pub(crate) struct Steps(Vec<(&'static str, Duration)>);

impl Steps {
    /// Installs all tools.
    pub(crate) fn tools(&mut self) -> Result<()> {
        self.step("buf", tools::buf)?;
        self.step("cargo-deny", tools::deny)?;
        self.step("python", tools::python)?;
        self.step("nats-server", tools::nats)?;
        self.step("postgresql", tools::postgres)?;
        self.step("pgbouncer", tools::pgbouncer)?;
        Ok(())
    }

    /// Everything that needs no test to run.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.tools()?;
        self.step("format", || run(cargo().args(["fmt", "--all", "--check"])))?;
        self.step("contracts", || match tools::buf()? {
            Some(buf) => run(Command::new(buf).arg("lint")),
            None => Ok(()),
        })?;
        self.step("dependencies", || {
            run(Command::new(tools::deny()?).args([
                "--workspace",
                "check",
                "bans",
                "licenses",
                "sources",
            ]))
        })?;
        self.step("lints", || {
            run(cargo()
                .args(["clippy", "--workspace", "--all-targets", "--"])
                .args(["-D", "warnings"]))
        })?;
        self.step("documentation", || {
            run(cargo()
                .args(["doc", "--workspace", "--no-deps", "--lib"])
                .env("RUSTDOCFLAGS", "-D warnings"))
        })
    }

    /// All tests, those in the documentation too, on real servers.
    pub(crate) fn test(&mut self) -> Result<()> {
        // With them all binaries, which tests look for beside themselves.
        self.step("build of tests", || {
            run(cargo().args(["test", "--workspace", "--no-run"]))
        })?;
        let servers = self.step("servers", Servers::start)?;
        self.step("tests", || {
            let mut tests = cargo();
            tests.args(["test", "--workspace"]);
            if let Some(python) = tools::python()? {
                tests.env("BERTH_PYTHON", python);
            }
            run(servers.tell(&mut tests))
        })
    }

    /// Tells which steps went well and how long each took.
    pub(crate) fn report(&self) {
        for (name, time) in &self.0 {
            eprintln!("{:>8.1} s  {name}: ok", time.as_secs_f64());
        }
    }

    fn step<T>(&mut self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("\n=== {name}");
        let start = Instant::now();
        let done = work().with_context(|| format!("step `{name}` failed"))?;
        self.0.push((name, start.elapsed()));
        Ok(done)
    }
}

/// Hands a benchmark over to the crate that knows it.
pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    run(cargo()
        .args(["run", "--release", "--package", "bench", "--"])
        .args(arguments))
}

/// Hands a campaign over to the crate that knows it, with the processes it is about.
pub(crate) fn campaign(arguments: &[String]) -> Result<()> {
    run(cargo().args(["build", "--release", "--workspace", "--bins"]))?;
    run(cargo()
        .args(["run", "--release", "--package", "campaigns", "--"])
        .args(arguments))
}

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
