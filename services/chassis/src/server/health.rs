//! The health of a process: may it be given work? Published by the reporter of `tonic-health`.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Mutex;
use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};

/// The service whose health says that the process runs: it is always SERVING, and without an answer the process is to be
/// restarted.
pub const LIVENESS: &str = "liveness";
/// The service whose health says whether the process may be given work. The empty name means the same.
pub const READINESS: &str = "readiness";

/// The health of a process. Clones are the same.
#[derive(Clone, Debug)]
pub struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    reporter: HealthReporter,
    /// The services that are SERVING when the process is ready.
    services: Vec<String>,
    /// The readiness that all services show. None while they are being updated, so that the next update completes one that
    /// was cancelled.
    published: Mutex<Option<bool>>,
    not_ready_reasons: RwLock<Vec<String>>,
}

impl Health {
    /// The health of a process with these services, all of them NOT_SERVING.
    pub async fn new(services: impl IntoIterator<Item = String>) -> Self {
        let own = [String::new(), READINESS.to_owned()];
        let health = Self(Arc::new(Inner {
            reporter: HealthReporter::new(),
            services: services.into_iter().chain(own).collect(),
            published: Mutex::default(),
            not_ready_reasons: RwLock::default(),
        }));
        health.report(vec!["it starts".to_owned()]).await;
        let reporter = &health.0.reporter;
        reporter
            .set_service_status(LIVENESS, ServingStatus::Serving)
            .await;
        health
    }

    /// The gRPC service.
    pub fn server(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.0.reporter.clone()))
    }

    /// Publishes that the process may be given work.
    pub async fn set_ready(&self) {
        self.report(Vec::new()).await;
    }

    /// Publishes the reasons why the process may not be given work. Without a reason it is ready.
    pub async fn report(&self, reasons: Vec<String>) {
        let inner = &*self.0;
        let mut published = inner.published.lock().await;
        let ready = reasons.is_empty();
        let why_not = reasons.join("; ");
        *inner
            .not_ready_reasons
            .write()
            .unwrap_or_else(PoisonError::into_inner) = reasons;
        if *published == Some(ready) {
            return;
        }
        // The first report is no change.
        let changed = published.is_some();
        *published = None;
        let status = if ready {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        for service in &inner.services {
            inner.reporter.set_service_status(service, status).await;
        }
        *published = Some(ready);
        if changed {
            tracing::info!(ready, why_not, "readiness");
        }
    }

    /// Why the process may not be given work. Empty if it is ready.
    pub fn why_not(&self) -> Vec<String> {
        let reasons = self.0.not_ready_reasons.read();
        reasons.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the process may be given work.
    pub fn is_ready(&self) -> bool {
        self.why_not().is_empty()
    }
}
