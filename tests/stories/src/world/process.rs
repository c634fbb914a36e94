//! A process of the platform, as a story sees one: it starts, is switched off, and starts again where it was.

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

/// A process of the platform. It keeps its ports when it is switched off, as a process in production has its address.
#[derive(Debug)]
pub struct Process {
    contexts: Vec<&'static str>,
    options: Options,
    platform: Option<Platform>,
    /// Bound and never listened on, so that nobody else is given them.
    _ports: [TcpSocket; 2],
}

impl Process {
    /// A process for contexts, which does not run yet.
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

    /// What it is told at its next start.
    pub fn options(&mut self) -> &mut Options {
        &mut self.options
    }

    /// What it was told.
    pub fn config(&self) -> &Config {
        &self.options.config
    }

    /// The context that runs in it; of several the first.
    pub fn context(&self) -> &'static str {
        self.contexts.first().expect("a context")
    }

    /// The contexts that run in it.
    pub fn contexts(&self) -> &[&'static str] {
        &self.contexts
    }

    /// Where its public port is, whether it runs or not.
    pub fn public(&self) -> SocketAddr {
        self.options.config.listen
    }

    /// Where its admin port is.
    pub fn admin(&self) -> SocketAddr {
        self.options.config.admin_listen
    }

    /// A new connection to its public port.
    pub fn channel(&self) -> Channel {
        channel(self.public())
    }

    /// The database of one of its contexts, where it is a file.
    pub fn database(&self, context: &str) -> PathBuf {
        let dir = &self.options.config.data_dir;
        dir.join(format!("{context}.db"))
    }

    /// Starts it, if it does not run.
    pub async fn start(&mut self) {
        while self.platform.is_none() {
            let contexts = all::contexts().into_iter();
            let contexts: Vec<Context> = contexts
                .filter(|context| self.contexts.contains(&context.name))
                .collect();
            match Platform::start(contexts, self.options.clone()).await {
                Ok(platform) => self.platform = Some(platform),
                // What was switched off a moment ago has not let go of its ports yet. A real process has when it is gone.
                Err(StartError::Listen(address, _)) => {
                    eventually(async || std::net::TcpListener::bind(address).is_ok()).await;
                }
                Err(error) => panic!("{:?} does not start: {error}", self.contexts),
            }
        }
    }

    /// It dies without warning, if it runs.
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

    /// Whether a context runs in it and leads.
    pub fn leads(&self, context: &str) -> bool {
        let mut sites = self.sites().iter();
        sites.any(|site| site.context.name == context && site.leads())
    }

    /// The contexts at work in it; none if it does not run.
    pub fn sites(&self) -> &[ContextRuntime] {
        self.platform.as_ref().map_or(&[], Platform::contexts)
    }
}

/// A connection to a port, made when it is used.
pub(super) fn channel(port: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{port}"))
        .expect("an address")
        .tcp_nodelay(true)
        .connect_lazy()
}

/// A port of this machine that nobody else has.
fn port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket");
    // The process may listen on it beside this one, which never listens; who asks for any port is given another one.
    socket.set_reuseaddr(true).expect("an option");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(any).expect("a port");
    let address = socket.local_addr().expect("an address");
    (socket, address)
}
