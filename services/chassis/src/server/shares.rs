//! What the port, a source and a connection may use at once: requests, streams, and bytes that wait to be sent.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use metrics::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use crate::server::{limits::Limits, source::Source};

/// A response of this size is sent even if too many bytes wait: the permits bound how many there are, and a command whose
/// answer is lost would be sent again.
const SMALL: usize = 16 * 1024;
/// The part of the response streams of a port that one source may open: a half.
const SOURCE_STREAMS: usize = 2;
/// The part that one connection may open: a sixteenth.
const CONNECTION_STREAMS: usize = 16;

static WAITING: LazyLock<Gauge> = LazyLock::new(|| metrics::gauge!("berth_waiting_bytes"));

/// What one of them may use at once.
#[derive(Debug)]
pub(super) struct Share {
    requests: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    waiting: AtomicUsize,
    max_waiting: usize,
}

impl Share {
    fn new(requests: usize, streams: usize, max_waiting: usize) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(requests)),
            streams: Arc::new(Semaphore::new(streams)),
            waiting: AtomicUsize::new(0),
            max_waiting,
        }
    }

    /// The share of a port.
    pub(super) fn of_port(limits: &Limits) -> Self {
        let streams = limits.max_response_streams;
        Self::new(limits.max_in_flight, streams, limits.max_waiting_bytes)
    }

    fn of_source(limits: &Limits) -> Self {
        Self::new(
            limits.max_in_flight_per_source,
            limits.max_response_streams.div_ceil(SOURCE_STREAMS),
            limits.max_waiting_bytes_per_source,
        )
    }

    fn of_connection(limits: &Limits) -> Self {
        Self::new(
            limits.max_in_flight_per_connection,
            limits.max_response_streams.div_ceil(CONNECTION_STREAMS),
            limits.max_waiting_bytes_per_connection,
        )
    }

    /// The permits of requests, or of response streams.
    pub(super) fn permits(&self, streams: bool) -> &Arc<Semaphore> {
        if streams {
            &self.streams
        } else {
            &self.requests
        }
    }

    fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) >= self.max_waiting
    }
}

/// The shares that one request uses, beside that of the port.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) source: Arc<SourceShare>,
    /// None behind a proxy: its connections carry the requests of many sources.
    connection: Option<Arc<Share>>,
}

impl Account {
    pub(super) fn shares(&self) -> impl Iterator<Item = &Share> {
        std::iter::once(&self.source.share).chain(self.connection.as_deref())
    }

    /// Whether so many bytes wait for this caller to receive them that more work for it makes no sense.
    pub(super) fn is_full(&self) -> bool {
        self.shares().any(Share::is_full)
    }
}

/// The permits of one request: of the port, of its context, of its source and of its connection.
#[derive(Debug, Default)]
pub(super) struct Permits(
    #[expect(dead_code, reason = "held")] pub(super) Vec<OwnedSemaphorePermit>,
);

/// Bytes that wait to be sent, or are being sent; dropping them frees their part of the shares, and the permits.
#[derive(Debug)]
struct Waiting {
    bytes: Vec<u8>,
    port: Arc<Share>,
    account: Option<Account>,
    _permits: Permits,
}

impl Waiting {
    fn shares(&self) -> impl Iterator<Item = &Share> {
        let accounts = self.account.iter().flat_map(Account::shares);
        std::iter::once(&*self.port).chain(accounts)
    }
}

impl AsRef<[u8]> for Waiting {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        for share in self.shares() {
            share.waiting.fetch_sub(self.bytes.len(), Ordering::Relaxed);
        }
        WAITING.decrement(as_f64(self.bytes.len()));
    }
}

/// Counts bytes as waiting until the last copy is dropped, and holds permits until then: before the caller sees the end of its
/// response, so its next request finds them free. None if too many are waiting already.
pub(super) fn count_waiting(
    bytes: Bytes,
    port: &Arc<Share>,
    account: Option<&Account>,
    permits: Permits,
) -> Option<Bytes> {
    let mut bytes = Vec::from(bytes);
    // What is not used of the buffer would not be counted.
    bytes.shrink_to_fit();
    let waiting = Waiting {
        bytes,
        port: port.clone(),
        account: account.cloned(),
        _permits: permits,
    };
    let length = waiting.bytes.len();
    let mut fits = true;
    for share in waiting.shares() {
        let before = share.waiting.fetch_add(length, Ordering::Relaxed);
        fits &= before < share.max_waiting;
    }
    WAITING.increment(as_f64(length));
    (fits || length <= SMALL).then(|| Bytes::from_owner(waiting))
}

fn as_f64(bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes).unwrap_or(u32::MAX))
}

/// The share of one source.
#[derive(Debug)]
pub(super) struct SourceShare {
    share: Share,
    connections: Arc<Semaphore>,
    source: Source,
    sources: Arc<Sources>,
}

impl Drop for SourceShare {
    fn drop(&mut self) {
        let mut known = self.sources.lock();
        // Another may have come since.
        if known
            .get(&self.source)
            .is_some_and(|share| share.strong_count() == 0)
        {
            known.remove(&self.source);
        }
    }
}

/// The sources that use a port at the moment.
#[derive(Debug)]
pub(super) struct Sources {
    limits: Limits,
    known: Mutex<HashMap<Source, Weak<SourceShare>>>,
}

impl Sources {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            limits: limits.clone(),
            known: Mutex::default(),
        })
    }

    fn share(self: &Arc<Self>, source: Source) -> Arc<SourceShare> {
        let mut known = self.lock();
        if let Some(share) = known.get(&source).and_then(Weak::upgrade) {
            return share;
        }
        let share = Arc::new(SourceShare {
            share: Share::of_source(&self.limits),
            connections: Arc::new(Semaphore::new(self.limits.max_connections_per_ip)),
            source: source.clone(),
            sources: self.clone(),
        });
        known.insert(source, Arc::downgrade(&share));
        share
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Source, Weak<SourceShare>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shares of one connection.
#[derive(Clone, Debug)]
pub(super) struct ConnectionShares {
    own: Arc<Share>,
    peer: Arc<SourceShare>,
    is_proxied: bool,
}

impl ConnectionShares {
    pub(super) fn new(sources: &Arc<Sources>, peer: IpAddr) -> Self {
        Self {
            own: Arc::new(Share::of_connection(&sources.limits)),
            peer: sources.share(Source::from(peer)),
            is_proxied: sources.limits.trusted.is_proxy(peer),
        }
    }

    /// The place of the connection among those of its address; a proxy needs none.
    pub(super) fn connect(&self) -> Result<Option<OwnedSemaphorePermit>, TryAcquireError> {
        if self.is_proxied {
            return Ok(None);
        }
        let places = self.peer.connections.clone();
        places.try_acquire_owned().map(Some)
    }

    /// The account of a request from a source.
    pub(super) fn account(&self, source: &Source) -> Account {
        if self.is_proxied {
            let source = self.peer.sources.share(source.clone());
            return Account {
                source,
                connection: None,
            };
        }
        Account {
            source: self.peer.clone(),
            connection: Some(self.own.clone()),
        }
    }
}
