//! Accepts connections: how many there may be, how soon they must send, and how long they may live.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, Sleep},
};
use tokio_stream::Stream;
use tonic::transport::server::Connected;

use crate::server::limits::Limits;

/// Pause when the system has no more sockets.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// Length of the HTTP/2 preface; an HTTP/1 request is recognised by its first byte.
const PREFACE: usize = 24;

/// The connection of a request.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The address at the other end.
    pub remote: SocketAddr,
    /// Concurrency permits of this connection.
    pub(super) permits: Arc<Semaphore>,
}

/// The accepted connections of a port.
pub(super) fn incoming(
    listener: TcpListener,
    limits: &Limits,
    http1: bool,
) -> impl Stream<Item = io::Result<Accepted>> + use<> {
    let acceptor = Arc::new(Acceptor {
        limits: limits.clone(),
        first_bytes: if http1 { 1 } else { PREFACE },
        open: Mutex::default(),
    });
    futures::stream::unfold((listener, acceptor), |(listener, acceptor)| async move {
        loop {
            match listener.accept().await {
                Ok((stream, remote)) => {
                    if let Some(accepted) = acceptor.accept(stream, remote) {
                        return Some((Ok(accepted), (listener, acceptor)));
                    }
                }
                Err(error) => {
                    tracing::warn!(error = %error, "connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    })
}

#[derive(Debug)]
struct Acceptor {
    limits: Limits,
    /// So many bytes must arrive within the preface timeout.
    first_bytes: usize,
    open: Mutex<OpenConnections>,
}

#[derive(Debug, Default)]
struct OpenConnections {
    total: usize,
    by_ip: HashMap<IpAddr, usize>,
}

impl Acceptor {
    /// Admits a connection, or closes it because there are too many.
    fn accept(self: &Arc<Self>, stream: TcpStream, remote: SocketAddr) -> Option<Accepted> {
        let ip = remote.ip();
        {
            let mut open = self.open();
            let of_ip = open.by_ip.get(&ip).copied().unwrap_or(0);
            if open.total >= self.limits.max_connections
                || (of_ip >= self.limits.max_connections_per_ip
                    && !self.limits.trusted.is_proxy(ip))
            {
                metrics::counter!("berth_connections_refused_total").increment(1);
                return None;
            }
            open.total += 1;
            open.by_ip.insert(ip, of_ip + 1);
        }
        metrics::gauge!("berth_connections").increment(1.0);
        let slot = Slot {
            acceptor: self.clone(),
            ip,
        };
        // Small responses must not wait for more to send. If the socket cannot do that, it still works.
        let _ = stream.set_nodelay(true);
        let now = Instant::now();
        Some(Accepted {
            stream,
            connection: Connection {
                remote,
                permits: Arc::new(Semaphore::new(self.limits.max_in_flight_per_connection)),
            },
            missing_bytes: self.first_bytes,
            ends: now + self.limits.connection_age + self.limits.connection_age_grace,
            timer: Box::pin(tokio::time::sleep_until(now + self.limits.preface_timeout)),
            _slot: slot,
        })
    }

    fn open(&self) -> MutexGuard<'_, OpenConnections> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot among the open connections; dropping it frees it.
#[derive(Debug)]
struct Slot {
    acceptor: Arc<Acceptor>,
    ip: IpAddr,
}

impl Drop for Slot {
    fn drop(&mut self) {
        metrics::gauge!("berth_connections").decrement(1.0);
        let mut open = self.acceptor.open();
        open.total = open.total.saturating_sub(1);
        match open.by_ip.get_mut(&self.ip) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.by_ip.remove(&self.ip);
            }
        }
    }
}

/// An accepted connection. It fails if its first bytes do not arrive in time, and when it is too old.
#[derive(Debug)]
pub(super) struct Accepted {
    stream: TcpStream,
    connection: Connection,
    /// First bytes that have not arrived yet.
    missing_bytes: usize,
    ends: Instant,
    timer: Pin<Box<Sleep>>,
    _slot: Slot,
}

impl Connected for Accepted {
    type ConnectInfo = Connection;

    fn connect_info(&self) -> Connection {
        self.connection.clone()
    }
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.timer.as_mut().poll(cx).is_ready() {
            metrics::counter!("berth_connections_timed_out_total").increment(1);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if self.missing_bytes > 0 {
            let received = buf.filled().len() - before;
            self.missing_bytes = self.missing_bytes.saturating_sub(received);
            if self.missing_bytes == 0 {
                let ends = self.ends;
                self.timer.as_mut().reset(ends);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
