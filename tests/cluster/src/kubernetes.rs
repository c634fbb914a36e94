//! `kubectl` and `helm`, inside of the node.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::interval;

use crate::{Options, node::state};

/// The namespace of the release.
pub(crate) const NAMESPACE: &str = "berth";
/// The polling interval.
const INTERVAL: Duration = Duration::from_millis(500);

/// The API server and the container runtime.
#[derive(Clone, Debug)]
pub(crate) struct Kubernetes {
    kubectl: PathBuf,
    helm: PathBuf,
    state: PathBuf,
}

impl Kubernetes {
    pub(crate) fn of(options: &Options) -> Self {
        Self {
            kubectl: options.programs.join("kubectl"),
            helm: options.helm.clone(),
            state: state(options),
        }
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("KUBECONFIG", self.state.join("admin.kubeconfig"))
            // Helm and kubectl keep their caches with everything else.
            .env("HOME", &self.state)
            .args(["--namespace", NAMESPACE]);
        command
    }

    /// Runs kubectl. Returns what it prints.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        output(self.command(&self.kubectl).args(arguments))
    }

    /// Runs kubectl, which must fail. Returns its error.
    pub(crate) fn refused(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command(&self.kubectl).args(arguments).output()?;
        ensure!(!output.status.success(), "{arguments:?} was not refused");
        Ok(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    /// Runs kubectl with a token instead of the rights of an administrator; it must fail. Returns its error.
    pub(crate) fn as_bearer(&self, token: &str, arguments: &[&str]) -> Result<String> {
        let authority = format!(
            "--certificate-authority={}",
            self.state.join("pki/ca.crt").display()
        );
        let server = "--server=https://10.200.0.1:6443";
        let mut command = self.command(&self.kubectl);
        // Without the kubeconfig, which would win.
        let output = command
            .env("KUBECONFIG", "/dev/null")
            .args([server, &authority, token])
            .args(arguments)
            .output()?;
        ensure!(!output.status.success(), "{arguments:?} was not refused");
        Ok(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    /// Runs Helm. Returns what it prints.
    pub(crate) fn helm(&self, arguments: &[&str]) -> Result<String> {
        output(self.command(&self.helm).args(arguments))
    }

    /// Objects of a kind, of all services of the release.
    pub(crate) fn objects(&self, kind: &str, selector: &str) -> Result<Vec<Value>> {
        let text = self.kubectl(&["get", kind, "--selector", selector, "--output=json"])?;
        let list: Value = serde_json::from_str(&text)?;
        let items = list.get("items").and_then(Value::as_array);
        Ok(items.context("no list")?.clone())
    }

    /// The pods of a service that are not about to end.
    pub(crate) fn pods(&self, service: &str) -> Result<Vec<Pod>> {
        let selector = format!("app.kubernetes.io/name={service}");
        let pods = self.objects("pods", &selector)?;
        let living = pods
            .iter()
            .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        Ok(living.map(Pod::of).collect())
    }

    /// Applies objects.
    pub(crate) fn apply(&self, objects: &Value) -> Result<()> {
        let file = self.state.join("objects.json");
        std::fs::write(&file, objects.to_string())?;
        self.kubectl(&["apply", "--filename", &file.display().to_string()])?;
        Ok(())
    }

    /// The process id of the container `app` of a pod, inside of the node.
    pub(crate) fn process(&self, pod: &Pod) -> Result<u32> {
        let socket = self.state.join("containerd/containerd.sock");
        let tasks = output(Command::new("ctr").arg("--address").arg(socket).args([
            "--namespace",
            "k8s.io",
            "tasks",
            "list",
        ]))?;
        let mut lines = tasks.lines().map(str::split_whitespace);
        let pid = lines.find_map(|mut words| {
            (words.next()? == pod.container)
                .then(|| words.next())
                .flatten()
        });
        let pid = pid.with_context(|| format!("{} does not run", pod.name))?;
        Ok(pid.parse()?)
    }
}

/// What an experiment needs to know of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) ready: bool,
    pub(crate) restarts: u64,
    /// The id of its only container.
    pub(crate) container: String,
}

impl Pod {
    fn of(pod: &Value) -> Self {
        let status = &pod["status"]["containerStatuses"][0];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            name: text(&pod["metadata"]["name"]),
            uid: text(&pod["metadata"]["uid"]),
            ready: status["ready"].as_bool().unwrap_or_default(),
            restarts: status["restartCount"].as_u64().unwrap_or_default(),
            container: text(&status["containerID"]).replace("containerd://", ""),
        }
    }
}

/// Polls until a condition holds. Returns how long that took.
pub(crate) async fn until(
    what: &str,
    timeout: Duration,
    mut holds: impl AsyncFnMut() -> Result<bool>,
) -> Result<Duration> {
    let began = Instant::now();
    let mut polls = interval(INTERVAL);
    loop {
        polls.tick().await;
        if holds().await? {
            return Ok(began.elapsed());
        }
        ensure!(began.elapsed() < timeout, "{what}: not within {timeout:?}");
    }
}

/// Runs a command. Returns what it prints; its errors are part of the error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{command:?} ended with {}:\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(text)
}
