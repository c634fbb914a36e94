//! A bus for contexts in processes of their own without a broker: whoever listens looks every now and then.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use berth::inspection::v1::BusKind;
use futures::future::BoxFuture;

use crate::{
    bus::{Bus, BusError, Feed, InProcess, Signal, Topic},
    consumer::LogReader,
    event::Recorded,
};

/// How often a log is looked at.
const EVERY: Duration = Duration::from_millis(200);

/// Says how far the logs of other processes have come by asking them; those of this process say it themselves.
#[derive(Debug)]
pub struct Polling {
    here: Arc<InProcess>,
    elsewhere: BTreeMap<String, Arc<dyn LogReader>>,
}

impl Polling {
    /// A bus over the logs of other processes, by context.
    pub fn new(elsewhere: BTreeMap<String, Arc<dyn LogReader>>) -> Arc<Self> {
        Arc::new(Self {
            here: InProcess::new(),
            elsewhere,
        })
    }
}

impl Bus for Polling {
    fn kind(&self) -> BusKind {
        BusKind::Polling
    }

    fn known(&self, topic: &Topic) -> BoxFuture<'_, Result<i64, BusError>> {
        self.here.known(topic)
    }

    fn carries_events(&self) -> bool {
        false
    }

    fn publish(
        &self,
        topic: Topic,
        events: Vec<Recorded>,
        head: i64,
    ) -> BoxFuture<'_, Result<(), BusError>> {
        self.here.publish(topic, events, head)
    }

    fn subscribe(
        &self,
        topic: Topic,
        consumer: &str,
    ) -> BoxFuture<'_, Result<Box<dyn Feed>, BusError>> {
        match self.elsewhere.get(&topic.0) {
            Some(log) => {
                let (log, partition) = (log.clone(), topic.1);
                Box::pin(async move {
                    let head = log.head(partition).await;
                    let head = head.map_err(|error| BusError(error.to_string()))?;
                    let feed = Looks {
                        log,
                        partition,
                        told: head,
                        first: Some(head),
                    };
                    Ok(Box::new(feed) as Box<dyn Feed>)
                })
            }
            None => self.here.subscribe(topic, consumer),
        }
    }
}

struct Looks {
    log: Arc<dyn LogReader>,
    partition: i32,
    told: i64,
    /// What it was when the feed began, until it is told.
    first: Option<i64>,
}

impl fmt::Debug for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Looks")
            .field("log", &self.log)
            .field("told", &self.told)
            .finish_non_exhaustive()
    }
}

impl Feed for Looks {
    fn next(&mut self) -> BoxFuture<'_, Result<Signal, BusError>> {
        Box::pin(async {
            if let Some(first) = self.ready() {
                return Ok(first);
            }
            loop {
                tokio::time::sleep(EVERY).await;
                let head = self.log.head(self.partition).await;
                let head = head.map_err(|error| BusError(error.to_string()))?;
                if self.told != head {
                    self.told = head;
                    return Ok(Signal::Head(head));
                }
            }
        })
    }

    fn ready(&mut self) -> Option<Signal> {
        self.first.take().map(Signal::Head)
    }
}
