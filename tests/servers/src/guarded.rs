//! Processes and directories that do not outlive their owner.
//!
//! Each has a guard: a shell that waits for the end of its input. As long as the owner lives nothing comes; when the owner
//! is gone, however that happened, the input ends, and the guard does what the owner cannot do any more.

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

/// How long a process may take to end once it was told to.
const GRACE: Duration = Duration::from_secs(30);

/// Ends a process that is named on the first line, unless there is a second.
const END: &str = r#"
read -r pid || exit
read -r over && exit
kill -s "$1" "$pid"
kill -s CONT "$pid"
looks=0
while [ "$looks" -lt 50 ] && kill -0 "$pid"; do
    sleep 0.1
    looks=$((looks + 1))
done
kill -s KILL -- "-$pid"
"#;

/// Removes a directory. Those who write to it may be about to be ended by guards of their own.
const REMOVE: &str = r#"
read -r over
looks=0
while [ "$looks" -lt 100 ] && ! rm -rf -- "$1"; do
    sleep 0.1
    looks=$((looks + 1))
done
"#;

/// A signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ends at once.
    Kill,
    /// Asks to end.
    Term,
    /// Asks to end now, leaving work undone.
    Quit,
    /// Stands still.
    Stop,
    /// Goes on.
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

    /// Sends it to some processes. One that is not there any more is no failure.
    pub fn send(self, pids: &[u32]) -> Result<()> {
        if pids.is_empty() {
            return Ok(());
        }
        // Every shell knows how, and no binary is needed.
        shell(r#"kill -s "$@""#)
            .arg(self.name())
            .args(pids.iter().map(u32::to_string))
            .status()
            .with_context(|| format!("cannot send {}", self.name()))?;
        Ok(())
    }
}

/// A process that ends when its owner ends. Dropping it ends it, too.
#[derive(Debug)]
pub struct Guarded {
    child: Child,
    guard: Child,
    last: Signal,
    ended: Option<ExitStatus>,
}

impl Guarded {
    /// Starts a process in a group of its own, so that a signal from the terminal is its owner's affair. `last` is what it
    /// is sent if it must end: [`Signal::Kill`] unless it would leave something behind.
    pub fn spawn(command: &mut Command, last: Signal) -> Result<Self> {
        // First, so that it knows of the process as soon as there is one.
        let mut guard = shell(END)
            .arg(last.name())
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("cannot start a guard")?;
        let child = command.stdin(Stdio::null()).process_group(0).spawn();
        let child = child.with_context(|| format!("cannot start {command:?}"))?;
        if let Some(told) = &mut guard.stdin {
            writeln!(told, "{}", child.id())?;
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

    /// How it ended, if it has.
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
            // Its number may be somebody else's by now.
            Some(_) => Ok(()),
            None => signal.send(&[self.pid()]),
        }
    }

    /// Sends a signal, and the end comes of it.
    pub fn end(&mut self, signal: Signal) -> Result<ExitStatus> {
        self.signal(signal)?;
        // What stands still hears nothing.
        self.signal(Signal::Cont)?;
        let pid = self.pid();
        until(&format!("end of process {pid}"), GRACE, || self.ended())
    }

    /// Kills it, as if the machine had been switched off.
    pub fn kill(&mut self) -> Result<()> {
        self.end(Signal::Kill).map(drop)
    }

    /// Nothing is left to guard.
    fn dismiss(&mut self) -> io::Result<()> {
        if let Some(mut told) = self.guard.stdin.take() {
            // It may have been ended by others.
            let _ = told.write_all(b"\n");
        }
        self.guard.wait().map(drop)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // What cannot be ended in this way, the guard ends.
        let _ = self.end(self.last);
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
        let _ = self.child.wait();
    }
}

/// A directory that is removed when its owner ends. Dropping it removes it, too.
#[derive(Debug)]
pub struct Dir {
    path: PathBuf,
    guard: Child,
}

impl Dir {
    /// A new directory among the temporary ones of the system, which every user can reach.
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

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // The guard does it; this way both ends are the same.
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// The last lines of a file, to say what went wrong.
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
