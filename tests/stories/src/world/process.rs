//! A process of the platform in a story: it starts, crashes, and starts again with the same ports.

use std::{net::SocketAddr, path::PathBuf};

use chassis::{
    Context, Platform,
    runtime::{
        config::Config, context_runtime::ContextRuntime, options::Options, start_error::StartError,
    },
};
use tokio::net::TcpSocket;
use tonic::transport::{Channel, Endpoint};

use super::eventually;

/// A process of the platform. It keeps its ports after a crash, as a process in production keeps its address.
#[derive(Debug)]
pub struct Process {
    contexts: Vec<&'static str>,
    options: Options,
    platform: Option<Platform>,
    /// Bound and never listened on, so that no other process gets these ports.
    _ports: [TcpSocket; 2],
}

impl Process {
    /// A process for contexts. It is not started.
    pub fn of(contexts: Vec<&'static str>, mut options: Options) -> Self {
        let (public, listen) = port();
        let (admin, admin_listen) = port();
        options.config.listen = listen;
        options.config.admin_listen = admin_listen;
        Self {
            contexts,
            options,
            platform: None,
            _ports: [public, admin],
        }
    }

    /// The options of its next start.
    pub fn options(&mut self) -> &mut Options {
        &mut self.options
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.options.config
    }

    /// Its context; of several the first.
    pub fn context(&self) -> &'static str {
        self.contexts.first().expect("a context")
    }

    /// Its contexts.
    pub fn contexts(&self) -> &[&'static str] {
        &self.contexts
    }

    /// The address of its public port, also when it does not run.
    pub fn public(&self) -> SocketAddr {
        self.options.config.listen
    }

    /// The address of its admin port.
    pub fn admin(&self) -> SocketAddr {
        self.options.config.admin_listen
    }

    /// A new connection to its public port.
    pub fn channel(&self) -> Channel {
        channel(self.public())
    }

    /// The database file of one of its contexts.
    pub fn database(&self, context: &str) -> PathBuf {
        let dir = &self.options.config.data_dir;
        dir.join(format!("{context}.db"))
    }

    /// Starts it, unless it runs.
    pub async fn start(&mut self) {
        while self.platform.is_none() {
            let contexts = all::contexts().into_iter();
            let contexts: Vec<Context> = contexts
                .filter(|context| self.contexts.contains(&context.name))
                .collect();
            match Platform::start(contexts, self.options.clone()).await {
                Ok(platform) => self.platform = Some(platform),
                // A platform that has just crashed may still hold its ports. A real process releases them when it ends.
                Err(StartError::Listen(address, _)) => {
                    eventually(async || std::net::TcpListener::bind(address).is_ok()).await;
                }
                Err(error) => panic!("{:?} does not start: {error}", self.contexts),
            }
        }
    }

    /// Crashes it, if it runs.
    pub async fn crash(&mut self) {
        if let Some(platform) = self.platform.take() {
            platform.crash().await;
        }
    }

    /// The platform in it, if it runs.
    pub fn platform(&self) -> Option<&Platform> {
        self.platform.as_ref()
    }

    /// The platform in it, if it runs.
    pub fn platform_mut(&mut self) -> Option<&mut Platform> {
        self.platform.as_mut()
    }

    /// Whether it runs a context and is its leader.
    pub fn leads(&self, context: &str) -> bool {
        let mut sites = self.sites().iter();
        sites.any(|site| site.context.name == context && site.leads())
    }

    /// Its running contexts; none if it does not run.
    pub fn sites(&self) -> &[ContextRuntime] {
        self.platform.as_ref().map_or(&[], Platform::sites)
    }
}

/// A connection to a port, opened at the first call.
pub(super) fn channel(port: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{port}"))
        .expect("an address")
        .tcp_nodelay(true)
        .connect_lazy()
}

/// A free port of this machine.
fn port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket");
    // Another socket may listen on this port, because this one never does; the system gives the port to no one else.
    socket.set_reuseaddr(true).expect("an option");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(any).expect("a port");
    let address = socket.local_addr().expect("an address");
    (socket, address)
}
