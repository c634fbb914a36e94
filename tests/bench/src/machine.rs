//! The machine, and what a process on it has used.

use std::fs;

use anyhow::{Context, Result};

/// Clock ticks of `/proc/<pid>/stat` in a second; fixed at 100 for programs on Linux.
const TICKS: f64 = 100.0;

/// Processor, cores and kernel in one line.
pub(crate) fn facts() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or(": unknown");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{} · {cores} cores · Linux {}",
        model.trim_start_matches([' ', '\t', ':']),
        kernel.trim()
    )
}

/// CPU seconds, user and system, that a process has used.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold spaces; what follows it does not.
    let after = stat.rsplit(')').next().context("stat")?;
    let field = |index| -> Result<f64> {
        Ok(after
            .split_whitespace()
            .nth(index)
            .context("stat")?
            .parse::<f64>()?)
    };
    Ok((field(11)? + field(12)?) / TICKS)
}

/// Memory that a process holds now, in MiB.
pub(crate) fn resident_mib(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib / 1024.0)
}
