//! A TCP proxy that can be cut.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A TCP proxy in front of a server.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    /// Its address.
    pub(crate) here: SocketAddr,
    /// How many connections were accepted.
    accepted: Arc<AtomicUsize>,
    /// Whether responses are lost, and their connections with them.
    deaf: Arc<AtomicBool>,
    /// Whether all connections are cut.
    cut: watch::Sender<bool>,
}

impl Wire {
    /// A proxy of a server.
    pub(crate) async fn to(there: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Self {
            here: listener.local_addr().unwrap(),
            accepted: Arc::default(),
            deaf: Arc::default(),
            cut: watch::Sender::new(false),
        };
        tokio::spawn(wire.clone().carry(listener, there));
        wire
    }

    /// How many connections were accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Cuts all connections, now and later.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// Ends all faults.
    pub(crate) fn mend(&self) {
        self.deaf.store(false, Ordering::SeqCst);
        self.cut.send_replace(false);
    }

    /// Requests arrive; the responses are lost with their connections.
    pub(crate) fn lose_answers(&self) {
        self.deaf.store(true, Ordering::SeqCst);
    }

    async fn carry(self, listener: TcpListener, there: String) {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            self.accepted.fetch_add(1, Ordering::SeqCst);
            if *self.cut.borrow() {
                continue;
            }
            let (wire, there) = (self.clone(), there.clone());
            tokio::spawn(async move { wire.connect(client, there).await });
        }
    }

    async fn connect(self, client: TcpStream, there: String) {
        let Ok(server) = TcpStream::connect(there).await else {
            return;
        };
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let mut cut = self.cut.subscribe();
        let answers = async {
            let mut bytes = vec![0; 16 * 1024];
            while let Ok(count) = from_server.read(&mut bytes).await {
                if count == 0 || self.deaf.load(Ordering::SeqCst) {
                    return;
                }
                if to_client.write_all(&bytes[..count]).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            _ = copy(&mut from_client, &mut to_server) => {}
            () = answers => {}
            _ = cut.wait_for(|cut| *cut) => {}
        }
    }
}
