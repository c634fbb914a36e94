//! How many requests a port processes at once.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::server::{listener::Connection, services::Services};

/// The concurrency limits of a port. Of several contexts on it none may use more than half of the permits, so that one that
/// is overloaded, or waits for another, leaves permits to the others.
#[derive(Debug)]
pub(super) struct Concurrency {
    port: Semaphore,
    contexts: Vec<(String, Semaphore)>,
}

/// The permits of one request: of the port, of its context and of its connection.
pub(super) type Permits<'a> = [Option<SemaphorePermit<'a>>; 3];

impl Concurrency {
    pub(super) fn new(max_in_flight: usize, services: &Services) -> Self {
        let several = services.contexts().len() > 1;
        let contexts = services.contexts().filter(|_| several);
        let contexts =
            contexts.map(|name| (name.to_owned(), Semaphore::new(max_in_flight.div_ceil(2))));
        Self {
            port: Semaphore::new(max_in_flight),
            contexts: contexts.collect(),
        }
    }

    /// Takes all permits of a request, or none if one is missing.
    pub(super) fn try_acquire<'a>(
        &'a self,
        context: Option<&str>,
        connection: Option<&'a Connection>,
    ) -> Option<Permits<'a>> {
        let context = self.contexts.iter().find(|(name, _)| context == Some(name));
        let all = [
            Some(&self.port),
            context.map(|(_, permits)| permits),
            connection.map(|connection| &*connection.permits),
        ];
        let mut acquired = [None, None, None];
        for (slot, permits) in acquired.iter_mut().zip(all) {
            *slot = permits.map(Semaphore::try_acquire).transpose().ok()?;
        }
        Some(acquired)
    }
}
