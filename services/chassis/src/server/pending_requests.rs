//! Requests that have begun and whose messages are still arriving.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

use crate::server::source::Source;

/// A bounded number of pending requests. When there are too many, the oldest is cancelled, and when there are too many of
/// one source, the oldest of that source: a request that arrives at a usual pace has left long before, however many slow
/// ones there are.
#[derive(Debug)]
pub(super) struct PendingRequests {
    max: usize,
    max_of_source: usize,
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    next_number: u64,
    /// In the order of arrival.
    by_number: BTreeMap<u64, (Option<Source>, CancellationToken)>,
}

impl PendingRequests {
    pub(super) fn new(max: usize, max_of_source: usize) -> Self {
        Self {
            max,
            max_of_source,
            pending: Mutex::default(),
        }
    }

    /// Waits for a request to arrive. None if it was cancelled before.
    pub(super) async fn wait<F: Future>(
        &self,
        source: Option<Source>,
        arrival: F,
    ) -> Option<F::Output> {
        let entry = self.enter(source.as_ref());
        tokio::select! {
            biased;
            arrived = arrival => Some(arrived),
            () = entry.cancelled.cancelled() => None,
        }
    }

    fn enter(&self, source: Option<&Source>) -> Entry<'_> {
        let cancelled = CancellationToken::new();
        let mut pending = self.lock();
        let number = pending.next_number;
        pending.next_number += 1;
        let entry = (source.cloned(), cancelled.clone());
        pending.by_number.insert(number, entry);
        if let Some(surplus) = self.surplus(&pending.by_number, source)
            && let Some((_, oldest)) = pending.by_number.remove(&surplus)
        {
            oldest.cancel();
        }
        Entry {
            requests: self,
            number,
            cancelled,
        }
    }

    /// The request that must leave after one of this source has come.
    fn surplus(
        &self,
        pending: &BTreeMap<u64, (Option<Source>, CancellationToken)>,
        source: Option<&Source>,
    ) -> Option<u64> {
        let alike = |(number, (other, _)): (&u64, &(Option<Source>, _))| {
            (source.is_some() && other.as_ref() == source).then_some(*number)
        };
        let mut of_source = pending.iter().filter_map(alike);
        let oldest = of_source.next();
        if of_source.count() >= self.max_of_source {
            return oldest;
        }
        let too_many = pending.len() > self.max;
        pending.keys().next().copied().filter(|_| too_many)
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One pending request; dropping it removes it.
struct Entry<'a> {
    requests: &'a PendingRequests,
    number: u64,
    cancelled: CancellationToken,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.requests.lock().by_number.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures::{FutureExt, poll};

    use super::*;

    #[tokio::test]
    async fn the_oldest_request_is_cancelled_first() {
        let requests = PendingRequests::new(2, 2);
        let mut slow: Vec<_> = (0..2)
            .map(|_| Box::pin(requests.wait(None, pending::<()>())))
            .collect();
        for request in &mut slow {
            assert!(poll!(request).is_pending());
        }
        // A request that arrives at once cancels the first, and leaves.
        assert_eq!(requests.wait(None, ready(1)).now_or_never(), Some(Some(1)));
        assert!(poll!(&mut slow[0]).is_ready());
        assert!(poll!(&mut slow[1]).is_pending());
        let mut third = Box::pin(requests.wait(None, pending::<()>()));
        assert!(poll!(&mut third).is_pending());
        assert!(poll!(&mut slow[1]).is_pending(), "two fit");
        drop((slow, third));
        assert!(requests.lock().by_number.is_empty());
    }

    #[tokio::test]
    async fn a_source_with_too_many_slow_requests_cancels_its_own() {
        let source = |n: u8| Some(Source::from(std::net::IpAddr::from([192, 0, 2, n])));
        let requests = PendingRequests::new(9, 2);
        let mut slow: Vec<_> = [1, 2, 2, 2]
            .map(|n| Box::pin(requests.wait(source(n), pending::<()>())))
            .into();
        for request in &mut slow {
            assert!(poll!(request).is_pending());
        }
        let ended: Vec<_> = slow
            .iter_mut()
            .map(|request| request.now_or_never().is_some())
            .collect();
        assert_eq!(ended, [false, true, false, false]);
    }
}
