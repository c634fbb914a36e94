//! Wake-ups: a replica that has committed events notifies the leader of the context.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::Client;
use futures::StreamExt;
use tokio::{sync::Notify, task::AbortHandle};

/// Delay before subscribing again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Receives the wake-ups of contexts, by subject. Several wake-ups that are pending are merged into one.
#[derive(Debug, Default)]
pub(super) struct Wakes(Mutex<BTreeMap<String, Receiver>>);

/// A task that receives wake-ups, and the notification that it triggers.
#[derive(Debug)]
struct Receiver {
    notify: Arc<Notify>,
    task: AbortHandle,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wakes {
    /// The notification of the wake-ups received on a subject.
    pub(super) fn received(&self, client: &Client, subject: String) -> Arc<Notify> {
        let mut receivers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = receivers.entry(subject.clone()).or_insert_with(|| {
            let notify = Arc::<Notify>::default();
            let task = tokio::spawn(receive(client.clone(), subject, notify.clone()));
            Receiver {
                notify,
                task: task.abort_handle(),
            }
        });
        receiver.notify.clone()
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
