//! How many requests a port processes at once, and how many response streams it has open.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::server::{
    limits::Limits,
    services::Services,
    shares::{Account, Permits, Share},
};

/// The concurrency limits of a port. Of several contexts on it none may use more than half of the permits, so that one that
/// is overloaded, or waits for another, leaves permits to the others.
#[derive(Debug)]
pub(super) struct Concurrency {
    pub(super) port: Arc<Share>,
    contexts: Vec<(String, Arc<Semaphore>)>,
}

impl Concurrency {
    pub(super) fn new(limits: &Limits, services: &Services) -> Self {
        let several = services.contexts().len() > 1;
        let half = limits.max_in_flight.div_ceil(2);
        let contexts = services.contexts().filter(|_| several);
        let contexts = contexts.map(|name| (name.to_owned(), Arc::new(Semaphore::new(half))));
        Self {
            port: Arc::new(Share::of_port(limits)),
            contexts: contexts.collect(),
        }
    }

    /// Takes all permits of a request, or none if one is missing. Response streams, which may stay open for long, have
    /// permits of their own.
    pub(super) fn try_acquire(
        &self,
        streams: bool,
        context: Option<&str>,
        account: Option<&Account>,
    ) -> Option<Permits> {
        let context = self.contexts.iter().find(|(name, _)| context == Some(name));
        let context = context.filter(|_| !streams).map(|(_, permits)| permits);
        let shares = account.into_iter().flat_map(Account::shares);
        let all = std::iter::once(&*self.port).chain(shares);
        let all = all.map(|share| share.permits(streams)).chain(context);
        let permits = all.map(|permits| permits.clone().try_acquire_owned());
        permits.collect::<Result<_, _>>().ok().map(Permits)
    }
}
