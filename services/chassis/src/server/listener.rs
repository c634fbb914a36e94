//! Connections: how many there may be, how soon they must speak, and how long they may live.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
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

/// How long the door rests when the machine gives it no more sockets.
const REST: Duration = Duration::from_millis(20);
/// Length of the HTTP/2 preface; every HTTP/1 request is told by its first byte.
const PREFACE: usize = 24;

/// What a request knows of the connection it came by.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The address at the other end.
    pub remote: SocketAddr,
    /// Room for requests in hand from this connection.
    pub(super) room: Arc<Semaphore>,
}

/// The connections of a port, as far as they are let in.
pub(super) fn incoming(
    listener: TcpListener,
    limits: &Limits,
    http1: bool,
) -> impl Stream<Item = io::Result<Accepted>> + use<> {
    let door = Arc::new(Door {
        limits: limits.clone(),
        first_words: if http1 { 1 } else { PREFACE },
        seats: Mutex::default(),
    });
    futures::stream::unfold((listener, door), |(listener, door)| async move {
        loop {
            match listener.accept().await {
                Ok((stream, remote)) => {
                    if let Some(accepted) = door.let_in(stream, remote) {
                        return Some((Ok(accepted), (listener, door)));
                    }
                }
                Err(error) => {
                    tracing::warn!(error = %error, "connection could not be accepted");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    })
}

#[derive(Debug)]
struct Door {
    limits: Limits,
    first_words: usize,
    seats: Mutex<Seats>,
}

#[derive(Debug, Default)]
struct Seats {
    taken: usize,
    by_ip: HashMap<IpAddr, usize>,
}

impl Door {
    fn let_in(self: &Arc<Self>, stream: TcpStream, remote: SocketAddr) -> Option<Accepted> {
        let ip = remote.ip();
        {
            let mut seats = self.seats();
            let of_ip = seats.by_ip.get(&ip).copied().unwrap_or(0);
            if seats.taken >= self.limits.max_connections
                || of_ip >= self.limits.max_connections_per_ip
            {
                metrics::counter!("berth_connections_refused_total").increment(1);
                return None;
            }
            seats.taken += 1;
            seats.by_ip.insert(ip, of_ip + 1);
        }
        metrics::gauge!("berth_connections").increment(1.0);
        let seat = Seat {
            door: self.clone(),
            ip,
        };
        // Small answers must not wait for more to send; a socket that cannot is as good as any.
        let _ = stream.set_nodelay(true);
        let now = Instant::now();
        Some(Accepted {
            stream,
            connection: Connection {
                remote,
                room: Arc::new(Semaphore::new(self.limits.max_in_flight_per_connection)),
            },
            unheard: self.first_words,
            ends: now + self.limits.connection_age + self.limits.connection_age_grace,
            timer: Box::pin(tokio::time::sleep_until(now + self.limits.preface_timeout)),
            _seat: seat,
        })
    }

    fn seats(&self) -> std::sync::MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the connections; free again when dropped.
#[derive(Debug)]
struct Seat {
    door: Arc<Door>,
    ip: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        metrics::gauge!("berth_connections").decrement(1.0);
        let mut seats = self.door.seats();
        seats.taken = seats.taken.saturating_sub(1);
        match seats.by_ip.get_mut(&self.ip) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                seats.by_ip.remove(&self.ip);
            }
        }
    }
}

/// A connection that was let in. It fails when it does not say its first words in time, and when it is too old.
#[derive(Debug)]
pub(super) struct Accepted {
    stream: TcpStream,
    connection: Connection,
    /// So many bytes must come before the timer runs out.
    unheard: usize,
    ends: Instant,
    timer: Pin<Box<Sleep>>,
    _seat: Seat,
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
        if self.unheard > 0 {
            let heard = buf.filled().len() - before;
            self.unheard = self.unheard.saturating_sub(heard);
            if self.unheard == 0 {
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
