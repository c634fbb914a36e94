//! The release of Berth in the cluster: every context as a process of its own, with two replicas.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Command,
    sync::{Arc, OnceLock},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use campaigns::crowd::Crowd;
use mesh::{balancer::Balancer, contexts};
use stories::people::Line;
use tonic::transport::Endpoint;

use crate::{
    Options,
    kubernetes::{Kubernetes, NAMESPACE, Pod, output},
    node::state,
};

/// The name of the release.
const RELEASE: &str = "berth";
/// Selects all objects of the release.
pub(crate) const ALL: &str = "app.kubernetes.io/instance=berth";
/// The limit of the chart, which `helm test` expects; the experiments have a higher one.
pub(crate) const FEW_RESERVATIONS: &str =
    r#"services.reservation.config.MAX_RESERVATION_PER_PERSON="10""#;
/// How often a request that was not sent is sent again.
const AGAIN: usize = 2;
/// The timeout of a roll-out, on a busy machine.
const ROLLOUT: &str = "--timeout=5m";
/// The installed chart.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    pub(crate) kubernetes: Kubernetes,
    pub(crate) repository: PathBuf,
    state: PathBuf,
    proxy: Arc<OnceLock<Balancer>>,
}

impl Release {
    pub(crate) fn of(options: &Options) -> Self {
        Self {
            kubernetes: Kubernetes::of(options),
            repository: options.repository.clone(),
            state: state(options),
            proxy: Arc::default(),
        }
    }

    /// The namespace, which admits restricted pods only, and the secrets that the chart refers to.
    pub(crate) fn prepare(&self) -> Result<()> {
        let kubernetes = &self.kubernetes;
        let namespace = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": NAMESPACE,
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            },
        });
        kubernetes.apply(&namespace)?;
        let keys = self.state.join("service-keys");
        let berth = self
            .repository
            .join("target/x86_64-unknown-linux-gnu/release/berth");
        output(
            Command::new(berth)
                .args(["service-keys", "--dir"])
                .arg(&keys),
        )?;
        let from = format!("--from-file={}", keys.display());
        kubernetes.kubectl(&["create", "secret", "generic", "berth-service-keys", &from])?;
        let password = "--from-literal=password=cluster";
        kubernetes.kubectl(&["create", "secret", "generic", "berth-postgres", password])?;
        Ok(())
    }

    /// Installs or upgrades it with the values of the experiments and some more. Does not wait until that took effect.
    pub(crate) fn upgrade(&self, more: &[&str]) -> Result<()> {
        let values = self.values();
        // Experiments change objects in other ways, too.
        let mut arguments = vec!["upgrade", "--install", "--force-conflicts", RELEASE];
        arguments.extend(values.iter().map(String::as_str));
        arguments.extend(more.iter().flat_map(|value| ["--set-json", value]));
        self.kubernetes.helm(&arguments)?;
        Ok(())
    }

    /// The chart, and the values of the experiments.
    fn values(&self) -> [String; 3] {
        let file = |path: &str| self.repository.join(path).display().to_string();
        [
            file("helm/berth"),
            format!("--values={}", file("helm/berth/values-dev.yaml")),
            format!("--values={}", file("tests/cluster/values.yaml")),
        ]
    }

    /// Renders it with some more values into a file.
    pub(crate) fn template(&self, more: &[&str]) -> Result<PathBuf> {
        let values = self.values();
        let mut arguments = vec!["template", RELEASE];
        arguments.extend(values.iter().map(String::as_str));
        arguments.extend(more.iter().flat_map(|value| ["--set", value]));
        let file = self.state.join("rendered.yaml");
        std::fs::write(&file, self.kubernetes.helm(&arguments)?)?;
        Ok(file)
    }

    /// Goes back to the revision before.
    pub(crate) fn rollback(&self) -> Result<()> {
        self.kubernetes.helm(&["rollback", RELEASE])?;
        Ok(())
    }

    /// Plays the test of the chart. Returns its log.
    pub(crate) fn test(&self) -> Result<String> {
        self.kubernetes
            .helm(&["test", RELEASE, "--logs", "--timeout", "3m"])
    }

    /// Waits until every workload runs its newest template with all replicas. Returns how long that took.
    pub(crate) async fn rolled_out(&self) -> Result<Duration> {
        let began = Instant::now();
        let release = self.clone();
        // It waits for events of the API server, on another thread.
        tokio::task::spawn_blocking(move || {
            let status = ["rollout", "status", "deployment", "--selector", ALL];
            release
                .kubernetes
                .kubectl(&[&status[..], &[ROLLOUT]].concat())
        })
        .await??;
        Ok(began.elapsed())
    }

    /// The pods of all contexts.
    pub(crate) fn pods(&self) -> Result<Vec<(&'static str, Pod)>> {
        let mut pods = Vec::new();
        for context in contexts() {
            let found = self.kubernetes.pods(context)?;
            pods.extend(found.into_iter().map(|pod| (context, pod)));
        }
        Ok(pods)
    }

    /// A line to all services, through a proxy as a mesh or a gateway has one: a request that was not sent, because a
    /// connection was about to be closed, is sent again. No other request is.
    pub(crate) fn line(&self) -> Result<Line> {
        let proxy = if let Some(proxy) = self.proxy.get() {
            proxy
        } else {
            let proxy = self.start_proxy()?;
            self.proxy.get_or_init(|| proxy)
        };
        let endpoint = Endpoint::from_shared(format!("http://{}", proxy.public()))?;
        let endpoint = endpoint.timeout(Duration::from_secs(20));
        Ok(Line::to(endpoint.connect_lazy()))
    }

    fn start_proxy(&self) -> Result<Balancer> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        // It has a runtime of its own, which cannot be started on a thread of another one.
        let start = || Balancer::start(&contexts(), any, any);
        let proxy = thread::scope(|scope| scope.spawn(start).join());
        let proxy = proxy.map_err(|_| anyhow!("the proxy panicked"))??;
        for context in contexts() {
            let name = format!("{RELEASE}-{context}");
            let path = "--output=jsonpath={.spec.clusterIP}";
            let address = self.kubernetes.kubectl(&["get", "service", &name, path])?;
            let address = SocketAddr::from((address.parse::<Ipv4Addr>()?, 8080));
            proxy.add_service(context, address, AGAIN)?;
        }
        Ok(proxy)
    }

    /// How many requests were sent again since the start, because they had not been sent.
    pub(crate) fn sent_again(&self) -> u64 {
        let proxy = self.proxy.get();
        let counts = contexts()
            .into_iter()
            .filter_map(|context| Some(proxy?.counts(context)));
        counts.map(|counts| counts.moved).sum()
    }

    /// People, and rooms for a number of bookings. They may have many reservations.
    pub(crate) async fn crowd(&self, bookings: usize) -> Result<Crowd> {
        self.upgrade(&[])?;
        self.rolled_out().await?;
        Crowd::gather(self.line()?, bookings)
            .await
            .context("rooms and people")
    }
}
