//! The pull request of a subscription at the broker: opened, kept open, and opened again after a failure.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{consumer::pull, message::Message};
use futures::{FutureExt, StreamExt, future::BoxFuture};
use tokio::{
    task::unconstrained,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    domain::{consumer_name::ConsumerName, log_id::LogId},
    messaging::{
        bus::BusError,
        jetstream::{
            broker::{Broker, failed},
            connection::REQUEST_TIMEOUT,
        },
    },
};

/// Maximum number of messages in one pull request. The broker may have sent half as many more.
pub(super) const BATCH: usize = 256;
/// How often the broker confirms an idle pull request. After twice this time the request is made again.
const IDLE_HEARTBEAT: Duration = Duration::from_secs(2);
/// How long the broker keeps a pull request.
const EXPIRES: Duration = Duration::from_secs(30);
/// Delay before the pull request is made again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// An open pull request, and the number of messages that waited for it.
pub(super) type Opened = Result<(pull::Stream, u64), BusError>;

/// The pull request of a subscription.
pub(super) enum Pull {
    Closed { retry_at: Instant },
    Opening(BoxFuture<'static, Opened>),
    Open(Box<pull::Stream>),
}

/// What happens to a pull request.
pub(super) enum PullEvent {
    RetryDue,
    Opened(Opened),
    Message(Message),
    Interrupted(String),
}

impl Pull {
    pub(super) fn closed() -> Self {
        Self::Closed {
            retry_at: Instant::now() + RETRY_DELAY,
        }
    }

    pub(super) fn open(broker: Arc<Broker>, consumer: ConsumerName, log: LogId) -> Self {
        Self::Opening(Box::pin(open(broker, consumer, log)))
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// Waits for the next event.
    pub(super) async fn next(&mut self) -> PullEvent {
        match self {
            Self::Closed { retry_at } => {
                until(*retry_at).await;
                PullEvent::RetryDue
            }
            Self::Opening(opening) => PullEvent::Opened(opening.await),
            Self::Open(stream) => match stream.next().await {
                Some(Ok(message)) => PullEvent::Message(message),
                Some(Err(error)) => PullEvent::Interrupted(error.to_string()),
                None => PullEvent::Interrupted("the pull request has ended".to_owned()),
            },
        }
    }

    /// A message that is available without waiting. A failure is reported by [`Pull::next`].
    pub(super) fn try_next(&mut self) -> Option<Message> {
        let Self::Open(stream) = self else {
            return None;
        };
        unconstrained(stream.next()).now_or_never()??.ok()
    }
}

/// Makes a pull request, and creates its consumer if it does not exist.
pub(super) async fn open(broker: Arc<Broker>, consumer: ConsumerName, log: LogId) -> Opened {
    broker.ensure_connected()?;
    let open = async {
        let consumer = broker.consumer(&consumer, &log).await?;
        let waiting = consumer.cached_info().num_pending;
        let stream = consumer.stream().max_messages_per_batch(BATCH);
        let stream = stream.expires(EXPIRES).heartbeat(IDLE_HEARTBEAT);
        Ok((stream.messages().await.map_err(failed)?, waiting))
    };
    timeout(2 * REQUEST_TIMEOUT, open).await.map_err(failed)?
}

/// Waits until a time. Returns at once, without a turn of the timer, if it is over.
pub(super) async fn until(time: Instant) {
    if time > Instant::now() {
        sleep_until(time).await;
    }
}
