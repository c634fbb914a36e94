//! Wake-ups: a replica that has committed something tells the one that leads.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::Client;
use futures::StreamExt;
use tokio::{sync::Notify, task::AbortHandle};

use crate::messaging::jetstream::subjects::Names;

/// How long to wait before subscribing is tried again.
const REST: Duration = Duration::from_secs(1);

/// Tells and hears wake-ups. However many there are at once, they are one.
#[derive(Debug)]
pub(super) struct Wakes {
    client: Client,
    names: Names,
    lines: Mutex<BTreeMap<(String, Way), Line>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Out,
    In,
}

/// A task at one end of a line, and what wakes or is woken by it.
#[derive(Debug)]
struct Line {
    news: Arc<Notify>,
    task: AbortHandle,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wakes {
    pub(super) fn new(client: Client, names: Names) -> Self {
        Self {
            client,
            names,
            lines: Mutex::default(),
        }
    }

    /// Says that there is work for a context.
    pub(super) fn tell(&self, context: &str) {
        self.line(context, Way::Out).notify_one();
    }

    /// Where it is heard that there is work for a context.
    pub(super) fn hear(&self, context: &str) -> Arc<Notify> {
        self.line(context, Way::In)
    }

    fn line(&self, context: &str, way: Way) -> Arc<Notify> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.entry((context.to_owned(), way)).or_insert_with(|| {
            let news = Arc::<Notify>::default();
            let (client, subject) = (self.client.clone(), self.names.wake(context));
            let task = match way {
                Way::Out => tokio::spawn(out(client, subject, news.clone())),
                Way::In => tokio::spawn(incoming(client, subject, news.clone())),
            };
            Line {
                news,
                task: task.abort_handle(),
            }
        });
        line.news.clone()
    }
}

async fn out(client: Client, subject: String, news: Arc<Notify>) {
    loop {
        news.notified().await;
        // Who is not told looks by itself after a while.
        let _ = client.publish(subject.clone(), bytes::Bytes::new()).await;
    }
}

async fn incoming(client: Client, subject: String, news: Arc<Notify>) {
    loop {
        if let Ok(mut heard) = client.subscribe(subject.clone()).await {
            while heard.next().await.is_some() {
                news.notify_one();
            }
        }
        tokio::time::sleep(REST).await;
    }
}
