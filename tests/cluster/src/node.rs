//! The node: Kubernetes in namespaces of its own.

use std::{
    fs,
    io::ErrorKind,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use servers::{Guarded, Signal, until};

use crate::Options;

/// The timeout of a start, on a busy machine.
const START: Duration = Duration::from_mins(5);
/// No timeout: the user ends it.
const FOREVER: Duration = Duration::MAX;

/// A running node. It ends with the process that started it, also if that is killed, or when this is dropped.
#[derive(Debug)]
pub(crate) struct Node {
    state: PathBuf,
    process: Guarded,
    interrupted: Arc<AtomicBool>,
}

impl Node {
    /// Starts Kubernetes with the images, and waits until it can run pods.
    pub(crate) fn start(options: &Options) -> Result<Self> {
        let state = state(options);
        ensure!(pid(&state).is_err(), "it runs already; `down` stops it");
        clean(&state)?;
        fs::create_dir_all(&state)?;
        cgroups(|cgroup| match fs::create_dir(cgroup) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        })?;
        let interrupted = interrupts()?;
        let began = Instant::now();
        let mut unshare = Command::new("unshare");
        unshare
            .args(["--fork", "--kill-child", "--pid", "--mount-proc", "--mount"])
            .args(["--net", "--uts", "--ipc"])
            .arg(options.repository.join("tests/cluster/node/node.sh"))
            .args([&state, &options.programs, &options.images]);
        let mut node = Self {
            process: Guarded::spawn(&mut unshare, Signal::Kill)?,
            state,
            interrupted,
        };
        fs::write(node.state.join("pid"), node.process.pid().to_string())?;
        fs::write(node.state.join("owner"), process::id().to_string())?;
        let ready = node.state.join("ready");
        until("Kubernetes, see target/cluster/log", START, || {
            node.check()?;
            Ok(ready.exists().then_some(()))
        })?;
        println!(
            "Kubernetes is ready after {:.1} s",
            began.elapsed().as_secs_f64()
        );
        Ok(node)
    }

    /// Fails if it has ended, or if the user wants it to.
    fn check(&mut self) -> Result<()> {
        ensure!(!self.interrupted.load(Ordering::SeqCst), "interrupted");
        if let Some(status) = self.process.ended()? {
            bail!(
                "Kubernetes ended with {status}; see {}",
                self.state.join("log").display()
            );
        }
        Ok(())
    }

    /// Waits until Ctrl-C, SIGTERM or its end.
    pub(crate) fn wait(mut self) -> Result<()> {
        until("Ctrl-C", FOREVER, || {
            let interrupted = self.interrupted.load(Ordering::SeqCst);
            Ok((interrupted || self.process.ended()?.is_some()).then_some(()))
        })
    }

    /// Runs experiments in it.
    pub(crate) fn run(mut self, options: &Options, experiments: &[String]) -> Result<()> {
        let mut inside = Guarded::spawn(&mut inside(options, experiments)?, Signal::Kill)?;
        let status = until("the experiments", FOREVER, || {
            self.check()?;
            inside.ended()
        })?;
        ensure!(status.success(), "an experiment failed");
        Ok(())
    }

    pub(crate) fn how_to_use(&self, options: &Options) -> String {
        format!(
            "nsenter --target $(pgrep --parent {}) --all {} --kubeconfig {} get pods --all-namespaces",
            self.process.pid(),
            options.programs.join("kubectl").display(),
            self.state.join("admin.kubeconfig").display(),
        )
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // With process 1 of the namespaces everything in them ends.
        let ended = self.process.kill().and_then(|()| clean(&self.state));
        if let Err(error) = ended {
            eprintln!("cannot clean up: {error:#}");
        }
    }
}

/// Runs experiments in the node that another process has started.
pub(crate) fn run_inside(options: &Options, experiments: &[String]) -> Result<()> {
    let error = inside(options, experiments)?.exec();
    Err(error).context("cannot enter the namespaces")
}

/// Stops the node that another process has started, and waits until that has cleaned up.
pub(crate) fn down(options: &Options) -> Result<()> {
    let state = state(options);
    if let Ok(owner) = running(&state.join("owner"), "cluster") {
        Signal::Term.send(&[owner])?;
        let process = PathBuf::from(format!("/proc/{owner}"));
        until("the end of the cluster", START, || {
            Ok((!process.exists()).then_some(()))
        })?;
    }
    // Again, if it was killed.
    clean(&state)
}

/// This program inside of the namespaces.
fn inside(options: &Options, experiments: &[String]) -> Result<Command> {
    let unshare =
        pid(&state(options)).context("no cluster runs; start one with `cargo xtask cluster up`")?;
    let children = format!("/proc/{unshare}/task/{unshare}/children");
    let node = fs::read_to_string(children)?.trim().to_owned();
    let mut command = Command::new("nsenter");
    command
        .args([
            "--target", &node, "--mount", "--net", "--pid", "--uts", "--ipc",
        ])
        .arg(std::env::current_exe()?)
        .args(["--programs".as_ref(), options.programs.as_os_str()])
        .args(["--images".as_ref(), options.images.as_os_str()])
        .args(["--repository".as_ref(), options.repository.as_os_str()])
        .args(["--helm".as_ref(), options.helm.as_os_str()]);
    if let Some(dir) = &options.with_crds {
        command.arg("--with-crds").arg(dir.canonicalize()?);
    }
    command.arg("inside").args(experiments);
    Ok(command)
}

/// The directory of everything that the node writes.
pub(crate) fn state(options: &Options) -> PathBuf {
    options.repository.join("target/cluster")
}

/// The process id of a running node.
fn pid(state: &Path) -> Result<u32> {
    running(&state.join("pid"), "unshare")
}

/// The process id in a file, if it is still that of a program with this name.
fn running(file: &Path, name: &str) -> Result<u32> {
    let pid: u32 = fs::read_to_string(file)?.trim().parse()?;
    let program = fs::read_to_string(format!("/proc/{pid}/comm"))?;
    ensure!(program.trim() == name, "process {pid} is another program");
    Ok(pid)
}

/// Removes what a node leaves behind: its directory and its cgroups, which are empty.
fn clean(state: &Path) -> Result<()> {
    cgroups(|cgroup| {
        if cgroup.is_dir() {
            remove(cgroup)
        } else {
            Ok(())
        }
    })?;
    match fs::remove_dir_all(state) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", state.display()))
        }
        _ => Ok(()),
    }
}

/// Does something with the cgroup of the node in every hierarchy.
fn cgroups(act: impl Fn(&Path) -> std::io::Result<()>) -> Result<()> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = if root.join("cgroup.controllers").exists() {
        vec![root.to_owned()]
    } else {
        let entries = fs::read_dir(root)?.collect::<Result<Vec<_>, _>>()?;
        let paths = entries.into_iter().map(|entry| entry.path());
        paths.filter(|path| path.is_dir()).collect()
    };
    for hierarchy in hierarchies {
        act(&hierarchy.join("berth"))
            .with_context(|| format!("a cgroup in {}", hierarchy.display()))?;
    }
    Ok(())
}

/// Removes a cgroup and those below it. Their files cannot be removed, and go with them.
fn remove(cgroup: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(cgroup)? {
        let path = entry?.path();
        if path.is_dir() {
            remove(&path)?;
        }
    }
    fs::remove_dir(cgroup)
}

/// Set by the first SIGINT or SIGTERM.
fn interrupts() -> Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let set = interrupted.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    thread::spawn(move || {
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            if let Ok(mut term) = signal(SignalKind::terminate()) {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => {}
                    _ = term.recv() => {}
                }
            }
        });
        set.store(true, Ordering::SeqCst);
    });
    Ok(interrupted)
}
