//! Contexts at work in this process: stores, workers and ports, started, watched over and stopped.
//!
//! A platform has a runtime of its own, so that everything it does can end at once ([`Platform::crash`]) as if the machine
//! had been switched off, and a test can start again on what is on disk.

mod quiet;
mod start;
mod watch;

use std::{fs::File, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

pub(crate) use self::start::lock;
pub use self::{
    quiet::{NotQuiet, quiet},
    start::{OWN_KEY, log_of},
    watch::Failed,
};
use crate::{
    bus::Bus,
    clock::Clock,
    config::{Addresses, Config},
    context::Context,
    faults::Faults,
    health::Health,
    jetstream::NatsError,
    peers::Peers,
    settings::Settings,
    site::Site,
    store::StoreError,
    telemetry::{self, LogFilter},
    trust::BadServiceKey,
};

/// How long the last commit of a store may take once everything else has ended.
const LAST_COMMIT: Duration = Duration::from_secs(10);

/// What a platform is made of beside its contexts.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the process, for example `berth` or a context's name.
    pub process: String,
    /// What every process is told.
    pub config: Config,
    /// Settings of the contexts; what is missing has its default.
    pub settings: Settings,
    /// Tells the time.
    pub clock: Clock,
    /// What a test breaks.
    pub faults: Faults,
    /// The log filter, to be changed on the admin port.
    pub log: Option<LogFilter>,
    /// Contexts that run elsewhere, by their ports.
    pub peers: Addresses,
    /// Contexts that run elsewhere and whose logs are listened to, by their admin ports.
    pub logs: Addresses,
    /// Carries news between the contexts; none means the one that suits where they run.
    pub bus: Option<Arc<dyn Bus>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            process: "berth".to_owned(),
            config: Config::default(),
            settings: Settings::default(),
            clock: Clock::System,
            faults: Faults::default(),
            log: None,
            peers: Addresses::default(),
            logs: Addresses::default(),
            bus: None,
        }
    }
}

impl Options {
    /// The defaults, in a directory, on ports that the system chooses. For tests.
    pub fn in_dir(dir: &Path) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut options = Self::default();
        dir.clone_into(&mut options.config.data_dir);
        options.config.listen = any;
        options.config.admin_listen = any;
        options
    }
}

/// Why a platform could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error("data directory {0} cannot be used: {1}")]
    DataDir(String, io::Error),
    /// Another process works on it.
    #[error("data directory {0} is in use by another process")]
    InUse(String),
    /// A port cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// A store cannot be opened.
    #[error("store of {0} cannot be opened: {1}")]
    Store(&'static str, StoreError),
    /// An address of another process is wrong.
    #[error("address of {0} is wrong: {1}")]
    Address(String, tonic::transport::Error),
    /// The service key cannot be used.
    #[error("{0}")]
    ServiceKey(#[from] BadServiceKey),
    /// The broker cannot be used as it was told.
    #[error("{0}")]
    Nats(#[from] NatsError),
    /// The contracts cannot be described.
    #[error("contracts cannot be described: {0}")]
    Contracts(#[from] tonic_reflection::server::Error),
    /// There are no threads, or what starts the platform was broken off.
    #[error("cannot start: {0}")]
    Runtime(#[from] io::Error),
}

impl StartError {
    /// Whether it is the fault of what the process was told.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Address(..) | Self::ServiceKey(_) | Self::Nats(_)
        )
    }
}

/// Contexts at work in this process. Dropping it is a crash.
#[derive(Debug)]
pub struct Platform {
    runtime: Option<Runtime>,
    public: SocketAddr,
    admin: SocketAddr,
    sites: Vec<Site>,
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
        let lock = start::lock(&options.config.data_dir)?;
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
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// A context at work.
    pub fn site(&self, context: &str) -> Option<&Site> {
        self.sites.iter().find(|site| site.context.name == context)
    }

    /// The health of the process.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Waits until all is done that can be done now: every consumer has come to the end of what it listens to, nothing
    /// is due and no dead letter is to be tried. What waits for its time is left alone. Fails if it takes too long.
    pub async fn quiet(&self) -> Result<(), NotQuiet> {
        quiet(&self.sites).await
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
        self.peers.forget();
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
