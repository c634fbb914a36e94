//! The contexts of a process: their stores, workers and ports, started, supervised and stopped.
//!
//! A platform has a Tokio runtime of its own, so that all its tasks can end at once ([`Platform::crash`]), as in a power
//! failure, and a test can restart it from the data on disk.

use std::{fs::File, io, net::SocketAddr, time::Duration};

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    runtime::{
        context::Context,
        context_runtime::ContextRuntime,
        data_dir,
        options::Options,
        start::{Running, start},
        start_error::StartError,
        supervisor::Failed,
    },
    server::health::Health,
    telemetry,
};

/// How long the last commit of a store may take after everything else has ended.
const LAST_COMMIT: Duration = Duration::from_secs(10);

/// The running contexts of a process. Dropping it is a crash.
#[derive(Debug)]
pub struct Platform {
    runtime: Option<Runtime>,
    running: Running,
    supervisor: JoinHandle<Result<(), Failed>>,
    /// How long a stop may take.
    stop_timeout: Duration,
    lock: File,
}

impl Platform {
    /// Starts contexts. Returns when they are ready.
    pub async fn start(contexts: Vec<Context>, options: Options) -> Result<Self, StartError> {
        // The recorder must be installed before the first metric is counted.
        telemetry::metrics();
        let lock = data_dir::lock(&options.config.data_dir)?;
        let runtime = Background(Some(
            Builder::new_multi_thread()
                .thread_name("berth")
                .enable_all()
                .build()?,
        ));
        let config = &options.config;
        let stop_timeout = config.drain_delay.saturating_add(config.grace);
        let started = runtime.spawn(start(contexts, options)).await;
        let (running, supervisor) = started.map_err(io::Error::other)??;
        Ok(Self {
            running,
            supervisor: runtime.spawn(supervisor.run()),
            runtime: runtime.into_inner(),
            stop_timeout,
            lock,
        })
    }

    /// The address of the public port.
    pub fn public(&self) -> SocketAddr {
        self.running.public
    }

    /// The address of the admin port.
    pub fn admin(&self) -> SocketAddr {
        self.running.admin
    }

    /// The running contexts.
    pub fn contexts(&self) -> &[ContextRuntime] {
        &self.running.contexts
    }

    /// The health of the process.
    pub fn health(&self) -> &Health {
        &self.running.health
    }

    /// Waits until the platform ends by itself because something has failed.
    pub async fn ended(&mut self) -> Result<(), Failed> {
        (&mut self.supervisor).await.unwrap_or(Err(Failed::Watch))
    }

    /// Stops gracefully: accepts no more requests, finishes those in flight, stops the workers. Fails if that takes longer
    /// than the drain delay and the grace period, or if something has failed before.
    pub async fn stop(mut self) -> Result<(), Failed> {
        self.running.stop.cancel();
        let limit = self.stop_timeout;
        let ended = match timeout(limit, self.ended()).await {
            Ok(ended) => ended,
            Err(_) => Err(Failed::Grace(limit)),
        };
        self.crash().await;
        ended
    }

    /// Ends all tasks at once, as in a power failure. Returns when the data directory can be used again.
    pub async fn crash(mut self) {
        let commits: Vec<_> = self
            .running
            .contexts
            .iter()
            .map(|context| context.deps.store.commits())
            .collect();
        self.end();
        drop(self);
        let last = async {
            for mut store in commits {
                // An error means that the writer has ended.
                while store.changed().await.is_ok() {}
            }
        };
        if timeout(LAST_COMMIT, last).await.is_err() {
            tracing::error!("store still open after the crash");
        }
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        // Peers and routes hold each other, and the stores: break the cycle.
        self.running.peers.disconnect();
        self.running.contexts.clear();
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.end();
        // A failure is harmless: the lock ends with the file.
        let _ = self.lock.unlock();
    }
}

/// A Tokio runtime that is shut down in the background: blocking is not allowed inside another runtime.
struct Background(Option<Runtime>);

impl Background {
    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        match &self.0 {
            Some(runtime) => runtime.spawn(future),
            None => tokio::spawn(future),
        }
    }

    fn into_inner(mut self) -> Option<Runtime> {
        self.0.take()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
