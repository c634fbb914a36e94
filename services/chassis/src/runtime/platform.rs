//! Contexts at work in this process: stores, workers and ports, started, watched over and stopped.
//!
//! A platform has a runtime of its own, so that everything it does can end at once ([`Platform::crash`]) as if the machine
//! had been switched off, and a test can start again on what is on disk.

use std::{fs::File, io, net::SocketAddr, time::Duration};

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    client::peers::Peers,
    runtime::{
        context::Context, context_runtime::ContextRuntime, data_dir, options::Options, start,
        start_error::StartError, supervisor::Failed,
    },
    server::health::Health,
    telemetry,
};

/// How long the last commit of a store may take once everything else has ended.
const LAST_COMMIT: Duration = Duration::from_secs(10);

/// Contexts at work in this process. Dropping it is a crash.
#[derive(Debug)]
pub struct Platform {
    runtime: Option<Runtime>,
    public: SocketAddr,
    admin: SocketAddr,
    sites: Vec<ContextRuntime>,
    peers: Peers,
    health: Health,
    stop: CancellationToken,
    watch: JoinHandle<Result<(), Failed>>,
    grace: Duration,
    lock: File,
}

impl Platform {
    /// Starts contexts and answers when they are ready.
    pub async fn start(contexts: Vec<Context>, options: Options) -> Result<Self, StartError> {
        // Before anything is counted.
        telemetry::metrics();
        let lock = data_dir::lock(&options.config.data_dir)?;
        let runtime = Background(Some(
            Builder::new_multi_thread()
                .thread_name("berth")
                .enable_all()
                .build()?,
        ));
        let grace = options.config.grace;
        let started = runtime
            .spawn(start::start(contexts, options))
            .await
            .map_err(io::Error::other)??;
        Ok(Self {
            public: started.public,
            admin: started.admin,
            sites: started.sites,
            peers: started.peers,
            health: started.health,
            stop: started.stop,
            watch: runtime.spawn(started.watch.run()),
            runtime: runtime.keep(),
            grace,
            lock,
        })
    }

    /// Where the public port is.
    pub fn public(&self) -> SocketAddr {
        self.public
    }

    /// Where the admin port is.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The contexts at work.
    pub fn sites(&self) -> &[ContextRuntime] {
        &self.sites
    }

    /// A context at work.
    pub fn site(&self, context: &str) -> Option<&ContextRuntime> {
        self.sites.iter().find(|site| site.context.name == context)
    }

    /// The health of the process.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Waits until the platform ends by itself, which it does only if something fails.
    pub async fn ended(&mut self) -> Result<(), Failed> {
        (&mut self.watch).await.unwrap_or(Err(Failed::Watch))
    }

    /// Stops: takes no more requests, finishes those in hand, stops the workers. Fails if that takes longer than the
    /// grace, or if something failed before.
    pub async fn stop(mut self) -> Result<(), Failed> {
        self.stop.cancel();
        let grace = self.grace;
        let ended = match timeout(grace, self.ended()).await {
            Ok(ended) => ended,
            Err(_) => Err(Failed::Grace(grace)),
        };
        self.crash().await;
        ended
    }

    /// Ends everything at once, without finishing anything; what is on disk is as if the machine had been switched off.
    /// Answers when the directory can be used again.
    pub async fn crash(mut self) {
        let commits: Vec<_> = self
            .sites
            .iter()
            .map(|site| site.deps.store.commits())
            .collect();
        self.end();
        drop(self);
        let last = async {
            for mut store in commits {
                // An error says that the writer is gone.
                while store.changed().await.is_ok() {}
            }
        };
        if timeout(LAST_COMMIT, last).await.is_err() {
            tracing::error!("a store is still open");
        }
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        // Peers know routes, routes know peers: they would keep each other, and the stores.
        self.peers.disconnect();
        self.sites.clear();
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.end();
        // The next process may fail to lock a little longer; nothing else is lost.
        let _ = self.lock.unlock();
    }
}

/// A runtime that is never waited for: waiting is forbidden where others run.
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

    fn keep(mut self) -> Option<Runtime> {
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
