//! Requests that have begun and whose messages are still arriving.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

/// A bounded number of pending requests. When there are too many, the oldest is cancelled: a request that arrives at a usual
/// pace has left long before, however many slow ones there are.
#[derive(Debug)]
pub(super) struct PendingRequests {
    max: usize,
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    next_number: u64,
    /// In the order of arrival.
    by_number: BTreeMap<u64, CancellationToken>,
}

impl PendingRequests {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            pending: Mutex::default(),
        }
    }

    /// Waits for a request to arrive. None if it was cancelled before.
    pub(super) async fn wait<F: Future>(&self, arrival: F) -> Option<F::Output> {
        let entry = self.enter();
        tokio::select! {
            biased;
            arrived = arrival => Some(arrived),
            () = entry.cancelled.cancelled() => None,
        }
    }

    fn enter(&self) -> Entry<'_> {
        let cancelled = CancellationToken::new();
        let mut pending = self.lock();
        let number = pending.next_number;
        pending.next_number += 1;
        pending.by_number.insert(number, cancelled.clone());
        if pending.by_number.len() > self.max
            && let Some((_, oldest)) = pending.by_number.pop_first()
        {
            oldest.cancel();
        }
        Entry {
            requests: self,
            number,
            cancelled,
        }
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
        let requests = PendingRequests::new(2);
        let mut slow: Vec<_> = (0..2)
            .map(|_| Box::pin(requests.wait(pending::<()>())))
            .collect();
        for request in &mut slow {
            assert!(poll!(request).is_pending());
        }
        // A request that arrives at once cancels the first, and leaves.
        assert_eq!(requests.wait(ready(1)).now_or_never(), Some(Some(1)));
        assert!(poll!(&mut slow[0]).is_ready());
        assert!(poll!(&mut slow[1]).is_pending());
        let mut third = Box::pin(requests.wait(pending::<()>()));
        assert!(poll!(&mut third).is_pending());
        assert!(poll!(&mut slow[1]).is_pending(), "two fit");
        drop((slow, third));
        assert!(requests.lock().by_number.is_empty());
    }
}
