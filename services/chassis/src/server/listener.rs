//! Accepts connections: how many there may be.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::server::{
    limits::Limits,
    shares::{ConnectionShares, Sources},
};

/// Pause when the system has no more sockets.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// The connection of a request.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The address at the other end.
    pub remote: SocketAddr,
    pub(super) shares: ConnectionShares,
}

/// Accepts the connections of a port.
#[derive(Debug)]
pub(super) struct Acceptor {
    listener: TcpListener,
    places: Arc<Semaphore>,
    sources: Arc<Sources>,
}

/// An accepted connection.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) connection: Connection,
    pub(super) place: Place,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener, limits: &Limits) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(limits.max_connections)),
            sources: Sources::new(limits),
        }
    }

    /// The next connection.
    pub(super) async fn accept(&self) -> Accepted {
        loop {
            match self.listener.accept().await {
                Ok((stream, remote)) => {
                    if let Some(accepted) = self.admit(stream, remote) {
                        return accepted;
                    }
                    metrics::counter!("berth_connections_refused_total").increment(1);
                }
                Err(error) => {
                    tracing::warn!(error = %error, "connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Admits a connection, or closes it because there are too many.
    fn admit(&self, stream: TcpStream, remote: SocketAddr) -> Option<Accepted> {
        let shares = ConnectionShares::new(&self.sources, remote.ip());
        let of_port = self.places.clone().try_acquire_owned().ok()?;
        let of_peer = shares.connect().ok()?;
        // Small responses must not wait for more to send. If the socket cannot do that, it still works.
        let _ = stream.set_nodelay(true);
        Some(Accepted {
            stream,
            connection: Connection { remote, shares },
            place: Place::new(of_port, of_peer),
        })
    }
}

/// A place among the open connections; dropping it frees it.
#[derive(Debug)]
pub(super) struct Place {
    _of_port: OwnedSemaphorePermit,
    _of_peer: Option<OwnedSemaphorePermit>,
}

impl Place {
    fn new(of_port: OwnedSemaphorePermit, of_peer: Option<OwnedSemaphorePermit>) -> Self {
        metrics::gauge!("berth_connections").increment(1.0);
        Self {
            _of_port: of_port,
            _of_peer: of_peer,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!("berth_connections").decrement(1.0);
    }
}

/// Counts a connection that is closed because its time is over.
pub(super) fn timed_out() {
    metrics::counter!("berth_connections_timed_out_total").increment(1);
}
