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
}

#[tokio::test]
async fn events_come_through_the_broker_and_not_from_the_log() {
    let work = AtWork::on(Pair::on(jetstream, policies(|_| false)).await);
    work.take(1..=1).await;
    // What came before the feed may have been read from the log.
    until("through the broker", async || {
        work.pair.log.read();
        let next = work.pair.consumer.consumers[0].cursor().await.unwrap() + 1;
        let next = u128::try_from(next).unwrap();
        work.take(next..=next).await;
        work.pair.log.read() == 0
    })
    .await;
    let next = work.pair.consumer.consumers[0].cursor().await.unwrap() + 1;
    let next = u128::try_from(next).unwrap();
    work.take(next..=next + 500).await;
    assert_eq!(work.pair.log.read(), 0);
}
