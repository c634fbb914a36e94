//! Health: is the process alive, and may it be given work?

use std::{
    collections::BTreeSet,
    pin::Pin,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{Health as Rpcs, HealthServer},
};

use crate::error::status::not_found;

/// The service whose health says whether the process turns; if not it is to be replaced.
pub const LIVENESS: &str = "liveness";
/// The service whose health says whether the process may be given work. The empty name says the same.
pub const READINESS: &str = "readiness";
/// A process whose heart did not beat for so long does not turn.
const STALE: Duration = Duration::from_secs(5);
/// How often a watcher looks by itself.
const LOOK: Duration = Duration::from_secs(1);

/// The health of a process: not ready until told otherwise. Clones are the same.
#[derive(Clone, Debug)]
pub struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    began: Instant,
    beat: AtomicU64,
    ready: watch::Sender<bool>,
    /// Why it is not ready.
    why_not: RwLock<Vec<String>>,
    services: BTreeSet<String>,
}

impl Health {
    /// The health of a process that carries some services.
    pub fn new(services: impl IntoIterator<Item = String>) -> Self {
        let mut services: BTreeSet<String> = services.into_iter().collect();
        services.extend([String::new(), READINESS.to_owned()]);
        Self(Arc::new(Inner {
            began: Instant::now(),
            beat: AtomicU64::new(0),
            ready: watch::channel(false).0,
            why_not: RwLock::new(vec!["it starts".to_owned()]),
            services,
        }))
    }

    /// The health service.
    pub fn server(&self) -> HealthServer<Self> {
        HealthServer::new(self.clone())
    }

    /// Says that the process turns.
    pub fn beat(&self) {
        self.0.beat.store(self.millis(), Ordering::Relaxed);
    }

    /// Says that the process may be given work.
    pub fn set_ready(&self) {
        self.set(Vec::new());
    }

    /// Says that the process may not be given work, and why not, for people.
    pub fn set_unready(&self, why_not: Vec<String>) {
        self.set(if why_not.is_empty() {
            vec!["nobody says why".to_owned()]
        } else {
            why_not
        });
    }

    fn set(&self, why_not: Vec<String>) {
        let ready = why_not.is_empty();
        let reasons = why_not.join("; ");
        *self
            .0
            .why_not
            .write()
            .unwrap_or_else(PoisonError::into_inner) = why_not;
        self.0.ready.send_if_modified(|was| {
            let changed = *was != ready;
            if changed {
                tracing::info!(ready, why_not = reasons, "readiness");
            }
            *was = ready;
            changed
        });
    }

    /// Why the process may not be given work. Nothing if it may.
    pub fn why_not(&self) -> Vec<String> {
        self.0
            .why_not
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether the process may be given work.
    pub fn is_ready(&self) -> bool {
        *self.0.ready.borrow()
    }

    /// Whether the process turns.
    pub fn is_alive(&self) -> bool {
        let since = self
            .millis()
            .saturating_sub(self.0.beat.load(Ordering::Relaxed));
        u128::from(since) <= STALE.as_millis()
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn of(&self, service: &str) -> ServingStatus {
        let serving = match service {
            LIVENESS => self.is_alive(),
            known if self.0.services.contains(known) => self.is_ready(),
            _ => return ServingStatus::ServiceUnknown,
        };
        if serving {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        }
    }
}

#[tonic::async_trait]
impl Rpcs for Health {
    type WatchStream =
        Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send + 'static>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match self.of(&request.get_ref().service) {
            ServingStatus::ServiceUnknown => Err(not_found("service")),
            status => Ok(Response::new(HealthCheckResponse {
                status: status.into(),
            })),
        }
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (service, changes) = (request.into_inner().service, self.0.ready.subscribe());
        let begin = (self.clone(), service, changes, None);
        let news =
            futures::stream::unfold(begin, |(health, service, mut changes, told)| async move {
                loop {
                    changes.mark_unchanged();
                    let status = health.of(&service);
                    if Some(status) != told {
                        let news = HealthCheckResponse {
                            status: status.into(),
                        };
                        return Some((Ok(news), (health, service, changes, Some(status))));
                    }
                    tokio::select! {
                        _ = changes.changed() => {}
                        () = tokio::time::sleep(LOOK) => {}
                    }
                }
            });
        Ok(Response::new(Box::pin(news)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_ready_before_it_is_said() {
        let health = Health::new(["berth.room.v1.RoomService".to_owned()]);
        for service in ["", READINESS, "berth.room.v1.RoomService"] {
            assert_eq!(health.of(service), ServingStatus::NotServing, "{service}");
        }
        assert_eq!(health.why_not(), ["it starts"]);
        health.set_ready();
        for service in ["", READINESS, "berth.room.v1.RoomService", LIVENESS] {
            assert_eq!(health.of(service), ServingStatus::Serving, "{service}");
        }
        assert_eq!(health.why_not(), [""; 0]);
        health.set_unready(vec!["it ends".to_owned()]);
        assert!(!health.is_ready());
        assert_eq!(health.why_not(), ["it ends"]);
        assert_eq!(health.of("other"), ServingStatus::ServiceUnknown);
    }

    #[test]
    fn a_process_whose_heart_stands_still_is_not_alive() {
        let mut health = Health::new([]);
        health.beat();
        assert!(health.is_alive());
        let inner = Arc::get_mut(&mut health.0).unwrap();
        inner.began = inner.began.checked_sub(Duration::from_secs(6)).unwrap();
        assert!(!health.is_alive());
        health.beat();
        assert!(health.is_alive());
    }
}
