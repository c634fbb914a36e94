//! A platform to be measured: the release binary as a process of its own, on ports of its own.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

/// A running platform; it is stopped when this goes.
#[derive(Debug)]
pub(crate) struct Platform {
    child: Child,
    /// Where its public port is.
    pub(crate) address: String,
    /// How long it took from start to ready.
    pub(crate) ready_after: Duration,
}

impl Platform {
    /// Builds the release binary, starts it on free ports with an ephemeral store, and waits until it is ready.
    pub(crate) async fn start(more: &[&str]) -> Result<Self> {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--release", "--quiet", "--package", "all"])
            .status()
            .context("cargo build")?;
        if !built.success() {
            bail!("the release binary could not be built");
        }
        let (public, admin) = (free_port()?, free_port()?);
        let listen = format!("127.0.0.1:{public}");
        let admin_listen = format!("127.0.0.1:{admin}");
        let begin = Instant::now();
        let child = Command::new(binary()?)
            .args([
                "--ephemeral",
                "--listen",
                &listen,
                "--admin-listen",
                &admin_listen,
            ])
            .args(more)
            .env("BERTH_LOG", "warn")
            .stdout(Stdio::null())
            .spawn()
            .context("the platform could not be started")?;
        let mut platform = Self {
            child,
            address: format!("http://{listen}"),
            ready_after: Duration::ZERO,
        };
        platform
            .wait(&format!("http://{admin_listen}"), begin)
            .await?;
        Ok(platform)
    }

    async fn wait(&mut self, admin: &str, begin: Instant) -> Result<()> {
        let mut health = HealthClient::new(Endpoint::from_shared(admin.to_owned())?.connect_lazy());
        let mut look = tokio::time::interval(Duration::from_millis(5));
        while begin.elapsed() < Duration::from_secs(30) {
            look.tick().await;
            if let Some(status) = self.child.try_wait()? {
                bail!("the platform ended with {status}");
            }
            let request = HealthCheckRequest {
                service: "readiness".into(),
            };
            if let Ok(answer) = health.check(request).await
                && answer.get_ref().status() == ServingStatus::Serving
            {
                self.ready_after = begin.elapsed();
                return Ok(());
            }
        }
        bail!("the platform was not ready after 30 s")
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Some connections to its public port.
    pub(crate) fn connect(&self, count: usize) -> Result<Vec<Channel>> {
        connect(&self.address, count)
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        // It is over either way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn binary() -> Result<PathBuf> {
    // This program lies beside it: target/release/bench.
    let mut path = std::env::current_exe()?;
    path.set_file_name("berth");
    Ok(path)
}

/// A port that is free now.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Some connections to an address.
pub(crate) fn connect(address: &str, count: usize) -> Result<Vec<Channel>> {
    let endpoint = Endpoint::from_shared(address.to_owned())?.tcp_nodelay(true);
    Ok((0..count).map(|_| endpoint.connect_lazy()).collect())
}
