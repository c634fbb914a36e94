//! The replicas of one context.

use std::{
    fmt::Write,
    net::SocketAddr,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use http::{Request, Response};
use tokio::sync::watch;
use tonic::{Status, body::Body};

use super::replica::{CallError, Port, Replica};

/// The counters of a context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Received requests.
    pub requests: u64,
    /// Requests that could not be sent to a replica and went to another one.
    pub moved: u64,
    /// Requests without a ready replica.
    pub absent: u64,
    /// Requests that were sent and got no response or an incomplete one.
    pub broken: u64,
}

/// The replicas of one context.
#[derive(Debug)]
pub(super) struct Pool {
    context: String,
    replicas: RwLock<Vec<Arc<Replica>>>,
    turn: AtomicUsize,
    changes: watch::Sender<()>,
    pub(super) counters: Arc<Counters>,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: AtomicU64,
    moved: AtomicU64,
    absent: AtomicU64,
    broken: AtomicU64,
}

impl Counters {
    pub(super) fn broken(&self) {
        self.broken.fetch_add(1, Ordering::Relaxed);
    }
}

impl Pool {
    pub(super) fn new(context: &str, changes: watch::Sender<()>) -> Self {
        Self {
            context: context.to_owned(),
            replicas: RwLock::default(),
            turn: AtomicUsize::new(0),
            changes,
            counters: Arc::default(),
        }
    }

    pub(super) fn add(&self, public: SocketAddr, admin: SocketAddr) -> Arc<Replica> {
        self.insert(Replica::new(public, admin, self.changes.clone()))
    }

    pub(super) fn add_service(&self, address: SocketAddr) {
        self.insert(Replica::service(address, self.changes.clone()));
    }

    fn insert(&self, replica: Replica) -> Arc<Replica> {
        let replica = Arc::new(replica);
        let mut replicas = self
            .replicas
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        replicas.push(replica.clone());
        replica
    }

    fn replicas(&self) -> Vec<Arc<Replica>> {
        self.replicas
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The number of ready replicas.
    pub(super) fn ready(&self) -> usize {
        let replicas = self.replicas();
        replicas.iter().filter(|one| one.is_ready()).count()
    }

    pub(super) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            requests: read(&self.counters.requests),
            moved: read(&self.counters.moved),
            absent: read(&self.counters.absent),
            broken: read(&self.counters.broken),
        }
    }

    /// Sends a request to the next ready replica, and returns its response.
    pub(super) async fn answer(&self, port: Port, mut request: Request<Body>) -> Response<Body> {
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        let mut ready = self.replicas();
        ready.retain(|replica| replica.is_ready());
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let first = turn.checked_rem(ready.len()).unwrap_or_default();
        ready.rotate_left(first);
        for replica in ready {
            match replica.answer(port, request, &self.counters).await {
                Ok(answer) => return answer,
                Err(CallError::NotSent(again)) => {
                    self.counters.moved.fetch_add(1, Ordering::Relaxed);
                    request = *again;
                }
                Err(CallError::Broken) => {
                    self.counters.broken();
                    let message = format!("{} closed the connection", self.context);
                    return Status::unavailable(message).into_http();
                }
            }
        }
        self.counters.absent.fetch_add(1, Ordering::Relaxed);
        Status::unavailable(format!("no replica of {} is ready", self.context)).into_http()
    }

    /// The counters in the text format of Prometheus.
    pub(super) fn render(&self, text: &mut String) {
        let counts = self.counts();
        let context = &self.context;
        let failures = [("absent", counts.absent), ("broken", counts.broken)];
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "berth_balancer_requests_total{{context=\"{context}\"}} {}\n\
             berth_balancer_moved_total{{context=\"{context}\"}} {}\n\
             berth_balancer_ready{{context=\"{context}\"}} {}",
            counts.requests,
            counts.moved,
            self.ready()
        );
        for (why, count) in failures {
            let _ = writeln!(
                text,
                "berth_balancer_failures_total{{context=\"{context}\",why=\"{why}\"}} {count}"
            );
        }
    }
}
