//! The lobby: where requests wait that have begun and are still coming.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

/// Holds so many and no more. When it is full, who has been there longest must go: a request that comes at its usual pace
/// is gone long before, however many others take their time.
#[derive(Debug)]
pub(super) struct Lobby {
    most: usize,
    guests: Mutex<Guests>,
}

#[derive(Debug, Default)]
struct Guests {
    came: u64,
    here: BTreeMap<u64, CancellationToken>,
}

impl Lobby {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            guests: Mutex::default(),
        }
    }

    /// Waits for something; answers nothing if it had to go before that came.
    pub(super) async fn wait<F: Future>(&self, coming: F) -> Option<F::Output> {
        let guest = self.enter();
        tokio::select! {
            biased;
            come = coming => Some(come),
            () = guest.must_go.cancelled() => None,
        }
    }

    fn enter(&self) -> Guest<'_> {
        let must_go = CancellationToken::new();
        let mut guests = self.guests();
        let number = guests.came;
        guests.came += 1;
        guests.here.insert(number, must_go.clone());
        if guests.here.len() > self.most
            && let Some((_, longest)) = guests.here.pop_first()
        {
            longest.cancel();
        }
        Guest {
            lobby: self,
            number,
            must_go,
        }
    }

    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody in the lobby.
struct Guest<'a> {
    lobby: &'a Lobby,
    number: u64,
    must_go: CancellationToken,
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.lobby.guests().here.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures::{FutureExt, poll};

    use super::*;

    #[tokio::test]
    async fn who_has_been_there_longest_goes_first() {
        let lobby = Lobby::new(2);
        let mut slow: Vec<_> = (0..2)
            .map(|_| Box::pin(lobby.wait(pending::<()>())))
            .collect();
        for guest in &mut slow {
            assert!(poll!(guest).is_pending());
        }
        // One who comes at once takes the place of the first, and leaves it.
        assert_eq!(lobby.wait(ready(1)).now_or_never(), Some(Some(1)));
        assert!(poll!(&mut slow[0]).is_ready());
        assert!(poll!(&mut slow[1]).is_pending());
        let mut third = Box::pin(lobby.wait(pending::<()>()));
        assert!(poll!(&mut third).is_pending());
        assert!(poll!(&mut slow[1]).is_pending(), "there was room");
        drop((slow, third));
        assert!(lobby.guests().here.is_empty());
    }
}
