//! The machine, and the CPU time and memory of its processes.

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

/// The CPU seconds (user and system) of a process and its children, including ended ones. PostgreSQL has a child process for
/// each connection.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let mut sum = stat(pid).context("the process is gone")?.used;
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let other = name.to_str().and_then(|name| name.parse().ok());
        // A process that has just ended is counted by its parent.
        if let Some(stat) = other.and_then(|other| stat(other).ok())
            && stat.parent == pid
        {
            sum += stat.used;
        }
    }
    Ok(sum)
}

/// The parent of a process.
pub(crate) fn parent(pid: u32) -> Result<u32> {
    Ok(stat(pid)?.parent)
}

/// The content of `/proc/<pid>/stat`.
struct Stat {
    parent: u32,
    used: f64,
}

fn stat(pid: u32) -> Result<Stat> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold spaces; what follows it does not.
    let after = stat.rsplit(')').next().context("stat")?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let field = |index: usize| fields.get(index).copied().context("stat");
    let mut ticks = 0.0;
    // User and system time, its own and that of children that have ended.
    for index in 11..=14 {
        ticks += field(index)?.parse::<f64>()?;
    }
    Ok(Stat {
        parent: field(1)?.parse()?,
        used: ticks / TICKS,
    })
}

/// The resident memory of a process in MiB.
pub(crate) fn resident_mib(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib / 1024.0)
}
