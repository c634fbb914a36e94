//! A gate before a server: connections go through it, and a story can shut it.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// A gate before a server. Shut, it breaks the connections there are and takes no new ones. It is gone when it is dropped.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    open: watch::Sender<bool>,
    server: watch::Sender<String>,
    keeper: JoinHandle<()>,
}

impl Gate {
    /// An open gate before a server, by its host and port.
    pub async fn before(server: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (open, is_open) = watch::channel(true);
        let (server, behind) = watch::channel(server.to_owned());
        let keeper = tokio::spawn(keep(listener, behind, is_open));
        Self {
            address,
            open,
            server,
            keeper,
        }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks every connection and takes no more.
    pub fn shut(&self) {
        self.open.send_replace(false);
    }

    /// Breaks every connection; new ones lead to another server.
    pub fn turn_to(&self, server: &str) {
        self.shut();
        self.server.send_replace(server.to_owned());
        self.open();
    }

    /// Takes connections again.
    pub fn open(&self) {
        self.open.send_replace(true);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shut();
        self.keeper.abort();
    }
}

async fn keep(listener: TcpListener, server: watch::Receiver<String>, open: watch::Receiver<bool>) {
    while let Ok((client, _)) = listener.accept().await {
        if *open.borrow() {
            let server = server.borrow().clone();
            tokio::spawn(pass(client, server, open.clone()));
        }
    }
}

/// Carries one connection until one of its ends hangs up or the gate is shut.
async fn pass(mut client: TcpStream, server: String, mut open: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    // What is said is not held back to wait for more of it.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = open.wait_for(|open| !open) => {}
    }
}
