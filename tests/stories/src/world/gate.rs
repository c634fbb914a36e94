//! A gate: a TCP proxy before a server that a story can shut.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// A TCP proxy before a server. When it is shut, open connections are closed and new ones refused. Dropping it ends it.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    open: watch::Sender<bool>,
    server: watch::Sender<String>,
    proxy: JoinHandle<()>,
}

impl Gate {
    /// An open gate before a server, by its host and port.
    pub async fn before(server: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (open, is_open) = watch::channel(true);
        let (server, target) = watch::channel(server.to_owned());
        let proxy = tokio::spawn(accept(listener, target, is_open));
        Self {
            address,
            open,
            server,
            proxy,
        }
    }

    /// Its own address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes every connection and refuses new ones.
    pub fn shut(&self) {
        self.open.send_replace(false);
    }

    /// Closes every connection; new ones lead to another server.
    pub fn turn_to(&self, server: &str) {
        self.shut();
        self.server.send_replace(server.to_owned());
        self.open();
    }

    /// Accepts connections again.
    pub fn open(&self) {
        self.opener()();
    }

    /// A function that accepts connections again, for a task of its own.
    pub fn opener(&self) -> impl Fn() + Send + Sync + use<> {
        let open = self.open.clone();
        move || {
            open.send_replace(true);
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shut();
        self.proxy.abort();
    }
}

async fn accept(
    listener: TcpListener,
    server: watch::Receiver<String>,
    open: watch::Receiver<bool>,
) {
    while let Ok((client, _)) = listener.accept().await {
        if *open.borrow() {
            let server = server.borrow().clone();
            tokio::spawn(forward(client, server, open.clone()));
        }
    }
}

/// Forwards one connection until one of its ends closes it or the gate is shut.
async fn forward(mut client: TcpStream, server: String, mut open: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    // Without delay for small packets.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = open.wait_for(|open| !open) => {}
    }
}
