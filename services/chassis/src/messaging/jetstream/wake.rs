//! Wake-ups: a replica that has committed events notifies the leader of the context.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::Client;
use futures::StreamExt;
use tokio::{sync::Notify, task::AbortHandle};

use crate::messaging::jetstream::subjects::Names;

/// Delay before subscribing again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Sends and receives wake-ups. Several wake-ups that are pending are merged into one.
#[derive(Debug)]
pub(super) struct Wakes {
    client: Client,
    names: Names,
    tasks: Mutex<BTreeMap<(String, Direction), WakeTask>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Direction {
    Send,
    Receive,
}

/// A task that sends or receives wake-ups, and the notification that it shares with this process.
#[derive(Debug)]
struct WakeTask {
    notify: Arc<Notify>,
    abort: AbortHandle,
}

impl Drop for WakeTask {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

impl Wakes {
    pub(super) fn new(client: Client, names: Names) -> Self {
        Self {
            client,
            names,
            tasks: Mutex::default(),
        }
    }

    /// Notifies the leader of a context, without waiting.
    pub(super) fn send(&self, context: &str) {
        self.task(context, Direction::Send).notify_one();
    }

    /// The notification of the wake-ups received for a context.
    pub(super) fn received(&self, context: &str) -> Arc<Notify> {
        self.task(context, Direction::Receive)
    }

    fn task(&self, context: &str, direction: Direction) -> Arc<Notify> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (context.to_owned(), direction);
        let task = tasks.entry(key).or_insert_with(|| {
            let notify = Arc::<Notify>::default();
            let (client, subject) = (self.client.clone(), self.names.wake(context));
            let task = match direction {
                Direction::Send => tokio::spawn(send(client, subject, notify.clone())),
                Direction::Receive => tokio::spawn(receive(client, subject, notify.clone())),
            };
            WakeTask {
                notify,
                abort: task.abort_handle(),
            }
        });
        task.notify.clone()
    }
}

async fn send(client: Client, subject: String, notify: Arc<Notify>) {
    loop {
        notify.notified().await;
        // A leader that misses a wake-up polls after a while.
        let _ = client.publish(subject.clone(), bytes::Bytes::new()).await;
    }
}

async fn receive(client: Client, subject: String, notify: Arc<Notify>) {
    loop {
        if let Ok(mut wakes) = client.subscribe(subject.clone()).await {
            while wakes.next().await.is_some() {
                notify.notify_one();
            }
        }
        tokio::time::sleep(RETRY_DELAY).await;
    }
}
