//! Processes and directories that do not outlive their owner.
//!
//! Each has a guard: a shell that reads from a pipe of the owner. When the owner ends, even by SIGKILL, the pipe is closed,
//! and the guard ends the process or removes the directory.

use std::{
    fs, io,
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::wait::until;

/// The timeout for the end of a process after a signal.
const GRACE: Duration = Duration::from_secs(30);

/// Ends the process whose id is on the first line, unless there is a second line.
const END: &str = r#"
read -r pid || exit
read -r over && exit
kill -s "$1" "$pid"
kill -s CONT "$pid"
tries=0
while [ "$tries" -lt 50 ] && kill -0 "$pid"; do
    sleep 0.1
    tries=$((tries + 1))
done
kill -s KILL -- "-$pid"
"#;

/// Removes a directory. It tries repeatedly, because processes that write to it may still be ended by their own guards.
const REMOVE: &str = r#"
read -r over
tries=0
while [ "$tries" -lt 100 ] && ! rm -rf -- "$1"; do
    sleep 0.1
    tries=$((tries + 1))
done
"#;

/// A signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGKILL: ends at once.
    Kill,
    /// SIGTERM: ends gracefully.
    Term,
    /// SIGQUIT: ends fast, without finishing its work.
    Quit,
    /// SIGSTOP: pauses.
    Stop,
    /// SIGCONT: resumes.
    Cont,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Term => "TERM",
            Self::Quit => "QUIT",
            Self::Stop => "STOP",
            Self::Cont => "CONT",
        }
    }

    /// Sends it to processes. A process that has ended is no error.
    pub fn send(self, pids: &[u32]) -> Result<()> {
        if pids.is_empty() {
            return Ok(());
        }
        // `kill` is built into every shell, so the machine needs no such binary.
        shell(r#"kill -s "$@""#)
            .arg(self.name())
            .args(pids.iter().map(u32::to_string))
            .status()
            .with_context(|| format!("cannot send {}", self.name()))?;
        Ok(())
    }
}

/// A process that ends when its owner ends or when this is dropped.
#[derive(Debug)]
pub struct Guarded {
    child: Child,
    guard: Child,
    last: Signal,
    ended: Option<ExitStatus>,
}

impl Guarded {
    /// Starts a process in a process group of its own, so that it receives no signals from the terminal. `last` ends it:
    /// [`Signal::Kill`], unless that would leave resources behind.
    pub fn spawn(command: &mut Command, last: Signal) -> Result<Self> {
        // Started first, so that the process is guarded from its start.
        let mut guard = shell(END)
            .arg(last.name())
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("cannot start a guard")?;
        let child = command.stdin(Stdio::null()).process_group(0).spawn();
        let child = child.with_context(|| format!("cannot start {command:?}"))?;
        if let Some(input) = &mut guard.stdin {
            writeln!(input, "{}", child.id())?;
        }
        Ok(Self {
            child,
            guard,
            last,
            ended: None,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
            if self.ended.is_some() {
                self.dismiss()?;
            }
        }
        Ok(self.ended)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        match self.ended {
            // Its id may belong to another process by now.
            Some(_) => Ok(()),
            None => signal.send(&[self.pid()]),
        }
    }

    /// Sends a signal, and waits for the end of the process.
    pub fn end(&mut self, signal: Signal) -> Result<ExitStatus> {
        self.signal(signal)?;
        // A paused process does not handle signals.
        self.signal(Signal::Cont)?;
        let pid = self.pid();
        until(&format!("end of process {pid}"), GRACE, || self.ended())
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        self.end(Signal::Kill).map(drop)
    }

    /// Ends the guard of a process that has ended.
    fn dismiss(&mut self) -> io::Result<()> {
        if let Some(mut input) = self.guard.stdin.take() {
            // The guard may have been killed.
            let _ = input.write_all(b"\n");
        }
        self.guard.wait().map(drop)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // If this fails, the guard ends the process.
        let _ = self.end(self.last);
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
        let _ = self.child.wait();
    }
}

/// A directory that is removed when its owner ends or when this is dropped.
#[derive(Debug)]
pub struct Dir {
    path: PathBuf,
    guard: Child,
}

impl Dir {
    /// Creates a directory in the system's temporary directory, which every user can reach.
    pub fn new(name: &str) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix(&format!("berth-{name}-"))
            .tempdir()
            .context("no temporary directory")?;
        let guard = shell(REMOVE)
            .arg(dir.path())
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("cannot start a guard")?;
        Ok(Self {
            path: dir.keep(),
            guard,
        })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // The guard removes it, as after the end of the owner.
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// The last 20 lines of a log file, for error messages.
pub(crate) fn tail(file: &Path) -> String {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.len().saturating_sub(20);
    lines.get(last..).unwrap_or_default().join("\n")
}

fn shell(script: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", script, "guard"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    shell
}
