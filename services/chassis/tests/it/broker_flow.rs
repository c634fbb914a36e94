//! Events travel through the broker, and not past it.

use tokio_util::sync::CancellationToken;

use crate::{
    broker::until,
    consumer::{Pair, jetstream},
    tally::policies,
};

/// A pair at work, until it is dropped.
pub(crate) struct AtWork {
    pub(crate) pair: Pair,
    _stop: tokio_util::sync::DropGuard,
    _tasks: [tokio::task::JoinSet<()>; 2],
}

impl AtWork {
    pub(crate) fn on(pair: Pair) -> Self {
        let stop = CancellationToken::new();
        let tasks = [pair.producer.run(&stop), pair.consumer.run(&stop)];
        Self {
            pair,
            _stop: stop.drop_guard(),
            _tasks: tasks,
        }
    }

    /// Takes seats and waits until the consumer has heard of the last.
    pub(crate) async fn take(&self, seats: std::ops::RangeInclusive<u128>) {
        for seat in seats.clone() {
            self.pair.take(seat).await;
        }
        until("heard of the last", async || {
            self.pair.heard(*seats.end()).await == ["taken"]
        })
        .await;
    }

    /// Waits until events come through the broker and not from the log.
    pub(crate) async fn flows(&self) {
        until("through the broker", async || {
            self.pair.log.read();
            self.take_more(1).await;
            self.pair.log.read() == 0
        })
        .await;
    }

    /// Takes so many more seats, and waits until the consumer has heard of the last.
    pub(crate) async fn take_more(&self, count: u128) {
        let taken = self.pair.producer.deps.store.head(0).await.unwrap();
        let next = u128::try_from(taken).unwrap() + 1;
        self.take(next..=next + count - 1).await;
    }
}

#[tokio::test]
async fn events_come_through_the_broker_and_not_from_the_log() {
    let work = AtWork::on(Pair::on(jetstream, policies(|_| false)).await);
    work.flows().await;
    work.take_more(500).await;
    assert_eq!(work.pair.log.read(), 0);
}
