//! The steps of `tools`, `check` and `test`. Each has a headline and is timed; the first failure ends the run.
use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{
    advisories, chart,
    run::run,
    servers::Servers,
    tools::{self, cargo},
    workflows,
};

/// What steps hand over to later steps.
#[derive(Default)]
struct Shared {
    servers: Option<Servers>,
    renderings: Option<PathBuf>,
}

/// A step: its name and its work.
type Step = (&'static str, fn(&mut Shared) -> Result<()>);

const TOOLS: &[Step] = &[
    ("buf", |_| tools::buf().map(drop)),
    ("cargo-deny", |_| tools::deny().map(drop)),
    ("actionlint", |_| tools::actionlint().map(drop)),
    ("linters", |_| tools::linters().map(drop)),
    ("python", |_| tools::python().map(drop)),
    ("helm", |_| tools::helms().map(drop)),
    ("kubeconform", |_| tools::kubeconform().map(drop)),
    ("kubernetes-schemas", |_| {
        tools::kubernetes_schemas().map(drop)
    }),
    ("promtool", |_| tools::promtool().map(drop)),
    ("nats-server", |_| tools::nats().map(drop)),
    ("postgresql", |_| tools::postgres().map(drop)),
    ("pgbouncer", |_| tools::pgbouncer().map(drop)),
];

const CHECK: &[Step] = &[
    ("format", |_| run(cargo().args(["fmt", "--all", "--check"]))),
    ("contracts", |_| match tools::buf()? {
        Some(buf) => run(Command::new(buf).arg("lint")),
        None => Ok(()),
    }),
    ("workflows", |_| workflows::lint()),
    ("dependencies", |_| {
        let checks = ["bans", "licenses", "sources"];
        let mut deny = Command::new(tools::deny()?);
        run(deny.args(["--workspace", "check"]).args(checks))
    }),
    ("advisories", |_| advisories::check_if_possible()),
    ("lints", |_| {
        run(cargo()
            .args(["clippy", "--workspace", "--all-targets", "--"])
            .args(["-D", "warnings"]))
    }),
    ("documentation", |_| {
        run(cargo()
            .args(["doc", "--workspace", "--no-deps", "--lib"])
            .env("RUSTDOCFLAGS", "-D warnings"))
    }),
];

const TEST: &[Step] = &[
    // This builds the binaries too, which tests expect in the target directory.
    ("build of tests", |_| {
        run(cargo().args(["test", "--workspace", "--no-run"]))
    }),
    ("chart", |shared| {
        shared.renderings = chart::check()?;
        Ok(())
    }),
    ("servers", |shared| {
        shared.servers = Some(Servers::start()?);
        Ok(())
    }),
    ("tests", |shared| {
        let mut tests = cargo();
        tests.args(["test", "--workspace"]);
        if let Some(python) = tools::python()? {
            tests.env("BERTH_PYTHON", python);
        }
        if let Some(servers) = &shared.servers {
            servers.configure(&mut tests);
        }
        match &shared.renderings {
            Some(renderings) => tests.env("BERTH_TEST_CHART", renderings),
            // The step `chart` has said that they are not run.
            None => tests.args(["--", "--skip", "deploy::"]),
        };
        run(&mut tests)
    }),
];

/// Installs all tools.
pub(crate) fn install_tools() -> Result<()> {
    run_all(&[TOOLS])
}

/// Runs everything that does not execute tests.
pub(crate) fn check() -> Result<()> {
    run_all(&[TOOLS, CHECK])
}

/// Runs [`check`] and all tests, including those in the documentation, on real servers.
pub(crate) fn test() -> Result<()> {
    run_all(&[TOOLS, CHECK, TEST])
}

/// Runs steps until one fails, then prints the table of times.
fn run_all(groups: &[&[Step]]) -> Result<()> {
    let steps = groups.concat();
    let (count, began) = (steps.len(), Instant::now());
    let (mut shared, mut times) = (Shared::default(), Vec::new());
    let mut outcome = Ok(());
    for (index, (name, work)) in steps.into_iter().enumerate() {
        eprintln!("\n{}", headline(index + 1, count, name, began.elapsed()));
        let start = Instant::now();
        outcome = work(&mut shared).with_context(|| format!("step `{name}` failed"));
        times.push((name, start.elapsed(), outcome.is_ok()));
        if outcome.is_err() {
            break;
        }
    }
    eprintln!("\n{}", table(&times, count));
    outcome
}

/// `=== [3/11] lints (after 64 s)`.
fn headline(number: usize, count: usize, name: &str, elapsed: Duration) -> String {
    format!(
        "=== [{number}/{count}] {name} (after {} s)",
        elapsed.as_secs()
    )
}

/// The time of each step and of all together.
fn table(times: &[(&str, Duration, bool)], count: usize) -> String {
    let row = |time: Duration, text: &str| format!("{:>8.1} s  {text}\n", time.as_secs_f64());
    let mut table = String::new();
    for (name, time, succeeded) in times {
        let outcome = if *succeeded { "ok" } else { "FAILED" };
        table.push_str(&row(*time, &format!("{name}: {outcome}")));
    }
    let total = times.iter().map(|(_, time, _)| *time).sum();
    let steps = format!("total, {} of {count} steps", times.len());
    table + &row(total, &steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_headline_has_the_number_of_steps_and_the_elapsed_time() {
        let headline = headline(3, 11, "lints", Duration::from_millis(64_900));
        assert_eq!(headline, "=== [3/11] lints (after 64 s)");
    }

    #[test]
    fn the_table_has_each_step_and_the_total() {
        let seconds = Duration::from_secs;
        let times = [("format", seconds(1), true), ("lints", seconds(65), false)];
        let expected =
            "     1.0 s  format: ok\n    65.0 s  lints: FAILED\n    66.0 s  total, 2 of 11 steps\n";
        assert_eq!(table(&times, 11), expected);
    }

    #[test]
    fn steps_stop_at_the_first_failure() {
        let steps: &[Step] = &[
            ("one", |_| Ok(())),
            ("two", |_| anyhow::bail!("broken")),
            ("three", |_| unreachable!("a step ran after a failure")),
        ];
        let error = format!("{:#}", run_all(&[steps]).unwrap_err());
        assert_eq!(error, "step `two` failed: broken");
    }
}
