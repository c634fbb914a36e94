//! The subscription of a consumer. It does not fail while the broker is away: it requests the high-water mark from the
//! producer's log once a second, and reconnects in the meantime.

use std::{fmt, sync::Arc, time::Duration};

use async_nats::{
    Subscriber,
    jetstream::message::{Acker, Message},
};
use futures::{FutureExt, StreamExt, future::BoxFuture};
use tokio::time::{Instant, timeout};

use crate::{
    domain::{consumer_name::ConsumerName, event::Recorded, log_id::LogId, position::Position},
    messaging::{
        bus::{BusError, Signal, Subscription},
        jetstream::{
            broker::Broker,
            cloudevents,
            cloudevents::InvalidEvent,
            connection::REQUEST_TIMEOUT,
            pull::{self, BATCH, Opened, Pull, PullEvent, until},
        },
    },
};

/// Maximum size of the events in one signal in bytes; a larger event is a signal of its own.
const BATCH_BYTES: usize = 1024 * 1024;
/// Grace period for an announced event: if it does not arrive by then, it is read from the log.
const GRACE: Duration = Duration::from_millis(250);
/// After this time without a message or heartbeat of the producer its log is asked, once a second.
const SILENCE: Duration = Duration::from_secs(3);
const SECOND: Duration = Duration::from_secs(1);

/// The subscription of a consumer to a log.
pub(super) struct JetStreamSubscription {
    broker: Arc<Broker>,
    log: LogId,
    consumer: ConsumerName,
    labels: [(&'static str, String); 2],
    heartbeats: Option<Subscriber>,
    pull: Pull,
    /// The pending request for the high-water mark of the log, and when the last one was made.
    log_request: Option<BoxFuture<'static, Option<Position>>>,
    requested_at: Instant,
    /// When the last message or heartbeat of the producer arrived.
    last_contact: Instant,
    /// When the last event arrived, and whether the broker has more of them.
    last_event: Instant,
    has_more: bool,
    /// A high-water mark to signal at a time, unless its events arrive before.
    announced: Option<(Instant, Position)>,
    /// The last sequence number announced by the producer, and the last one acknowledged by the consumer.
    high_water_mark: i64,
    acknowledged: i64,
    /// The last sequence number signalled, and the message to acknowledge to the broker.
    delivered: (i64, Option<Acker>),
    /// Whether an invalid message was logged.
    warned: bool,
    first: Option<Signal>,
}

impl fmt::Debug for JetStreamSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStreamSubscription")
            .field("consumer", &self.consumer)
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

impl JetStreamSubscription {
    /// Subscribes, and fetches the first events and the high-water mark of the log if they arrive soon.
    pub(super) async fn start(broker: Arc<Broker>, log: LogId, consumer: ConsumerName) -> Self {
        let mut this = Self::new(broker, log, consumer);
        this.subscribe_heartbeats().await;
        if this.broker.is_connected() {
            let (broker, consumer) = (this.broker.clone(), this.consumer.clone());
            let opened = pull::open(broker, consumer, this.log.clone()).await;
            this.opened(opened);
            if this.has_more
                && let Ok(PullEvent::Message(message)) = timeout(SECOND, this.pull.next()).await
            {
                this.first = this.receive(message).await;
            }
        }
        this.request_high_water_mark();
        if let Some(request) = &mut this.log_request
            && let Ok(mark) = timeout(GRACE, request).await
        {
            this.high_water_mark_received(mark);
        }
        this
    }

    fn new(broker: Arc<Broker>, log: LogId, consumer: ConsumerName) -> Self {
        let labels = [
            ("consumer", consumer.to_string()),
            ("producer", log.to_string()),
        ];
        let now = Instant::now();
        Self {
            broker,
            log,
            consumer,
            labels,
            heartbeats: None,
            pull: Pull::Closed { retry_at: now },
            log_request: None,
            requested_at: now,
            last_contact: now,
            last_event: now,
            has_more: false,
            announced: None,
            high_water_mark: 0,
            acknowledged: 0,
            delivered: (0, None),
            warned: false,
            first: None,
        }
    }

    /// Handles the next event of the subscription. Returns a signal if there is one.
    async fn step(&mut self) -> Option<Signal> {
        let timer = self.timer();
        tokio::select! {
            biased;
            event = self.pull.next() => return self.handle_pull(event).await,
            heartbeat = next_heartbeat(&mut self.heartbeats) => match heartbeat {
                Some(heartbeat) => self.heartbeat_received(&heartbeat),
                None => self.heartbeats = None,
            },
            mark = response(&mut self.log_request) => self.high_water_mark_received(mark),
            () = until(timer) => return self.timer_due().await,
        }
        None
    }

    async fn handle_pull(&mut self, event: PullEvent) -> Option<Signal> {
        match event {
            PullEvent::Message(message) => return self.receive(message).await,
            PullEvent::RetryDue => {
                let (broker, consumer) = (self.broker.clone(), self.consumer.clone());
                self.pull = Pull::open(broker, consumer, self.log.clone());
            }
            PullEvent::Opened(opened) => {
                self.opened(opened);
                if self.pull.is_open() {
                    // Events published in the meantime may not arrive at all.
                    self.request_high_water_mark();
                }
            }
            PullEvent::Interrupted(why) => {
                tracing::debug!(consumer = %self.consumer, producer = %self.log, why, "subscription interrupted");
                self.pull = Pull::closed();
            }
        }
        None
    }

    /// Signals the announced high-water mark, or asks the log of a silent producer.
    async fn timer_due(&mut self) -> Option<Signal> {
        let now = Instant::now();
        if self.announcement_due() <= now
            && let Some((due, mark)) = self.announced.take()
        {
            // Events that have arrived since are newer.
            if mark.seq <= self.delivered.0 && self.last_event + GRACE > due {
                return None;
            }
            self.delivered.0 = mark.seq.max(self.delivered.0);
            return Some(Signal::HighWaterMark(mark));
        }
        if now >= self.last_contact + SILENCE {
            if self.heartbeats.is_none() {
                self.subscribe_heartbeats().await;
            }
            if self.log_request.is_none() {
                self.request_high_water_mark();
            }
        }
        None
    }

    /// The time of the next [`Self::timer_due`].
    fn timer(&self) -> Instant {
        let silence = (self.last_contact + SILENCE).max(self.requested_at + SECOND);
        match (&self.announced, &self.log_request) {
            (Some(_), Some(_)) => self.announcement_due(),
            (Some(_), None) => self.announcement_due().min(silence),
            (None, Some(_)) => Instant::now() + SECOND,
            (None, None) => silence,
        }
    }

    /// When the announced high-water mark is to be signalled: later while the broker has more events.
    fn announcement_due(&self) -> Instant {
        let due = self.announced.map_or_else(Instant::now, |(due, _)| due);
        if self.pull.is_open() && self.has_more {
            due.max(self.last_event + SECOND)
        } else {
            due
        }
    }

    fn announce(&mut self, due: Instant, mark: Position) {
        self.high_water_mark = mark.seq;
        self.record_lag();
        // An earlier announcement stays due at its time.
        self.announced.get_or_insert((due, mark));
    }

    /// Subscribes to the heartbeats of the producer. The connection renews the subscription by itself.
    async fn subscribe_heartbeats(&mut self) {
        if self.broker.is_connected() {
            let subject = self.broker.names.heads(&self.log);
            let subscribed = timeout(REQUEST_TIMEOUT, self.broker.client.subscribe(subject)).await;
            self.heartbeats = subscribed.ok().and_then(Result::ok);
            self.broker.heartbeats.await_from(&self.log);
        }
    }

    fn heartbeat_received(&mut self, heartbeat: &async_nats::Message) {
        let mark = std::str::from_utf8(&heartbeat.payload).ok();
        if let Some(mark) = mark.and_then(|mark| mark.parse().ok()) {
            self.last_contact = Instant::now();
            self.broker.heartbeats.record(&self.log, mark);
            self.announce(self.last_contact + GRACE, mark);
        }
    }

    fn request_high_water_mark(&mut self) {
        self.requested_at = Instant::now();
        let Some(log) = self.broker.logs.get(self.log.context()).cloned() else {
            return;
        };
        metrics::counter!("berth_bus_heads_asked_total", &self.labels).increment(1);
        self.log_request = Some(Box::pin(async move {
            let mark = timeout(REQUEST_TIMEOUT, log.high_water_mark()).await;
            mark.ok().and_then(Result::ok)
        }));
    }

    fn high_water_mark_received(&mut self, mark: Option<Position>) {
        self.log_request = None;
        if let Some(mark) = mark {
            // The log itself is newer than any announcement.
            self.announced = None;
            self.announce(Instant::now(), mark);
        }
    }

    fn opened(&mut self, opened: Opened) {
        self.has_more = false;
        self.pull = match opened {
            Ok((stream, waiting)) => {
                self.last_event = Instant::now();
                self.has_more = waiting > 0;
                Pull::Open(Box::new(stream))
            }
            Err(error) => {
                tracing::debug!(consumer = %self.consumer, producer = %self.log, %error, "pull request failed");
                Pull::closed()
            }
        };
    }

    /// Collects the events that have arrived, the first message included.
    async fn receive(&mut self, first: Message) -> Option<Signal> {
        let mut events = Vec::new();
        let (mut bytes, mut count, mut message) = (0, 0, first);
        let last = loop {
            count += 1;
            bytes += message.length;
            events.extend(self.decode(&message));
            let (_, acker) = message.split();
            if count >= BATCH || bytes >= BATCH_BYTES {
                break acker;
            }
            match self.pull.try_next() {
                Some(next) => message = next,
                None => break acker,
            }
        };
        self.last_contact = Instant::now();
        self.last_event = self.last_contact;
        if let Some(seq) = events.iter().map(|event: &Recorded| event.seq).max() {
            let received = u64::try_from(events.len()).unwrap_or(0);
            metrics::counter!("berth_bus_received_total", &self.labels).increment(received);
            self.delivered = (seq.max(self.delivered.0), Some(last));
            return Some(Signal::Events(events));
        }
        // Only invalid messages, which have no effect: they must not be redelivered.
        acknowledge(last).await;
        None
    }

    /// Decodes the event in a message. An invalid message leaves a gap, which is read from the log.
    fn decode(&mut self, message: &Message) -> Option<Recorded> {
        if let Ok(info) = message.info() {
            self.has_more = info.pending > 0;
            if info.delivered > 1 {
                metrics::counter!("berth_bus_redelivered_total", &self.labels).increment(1);
            }
        }
        let none = async_nats::HeaderMap::new();
        let headers = message.headers.as_ref().unwrap_or(&none);
        let event_type = self.broker.names.event_type(&self.log, &message.subject);
        let event = event_type
            .ok_or(InvalidEvent::Mismatch)
            .and_then(|event_type| {
                cloudevents::event(&self.log, event_type, headers, message.payload.clone())
            });
        event
            .inspect_err(|why| {
                metrics::counter!("berth_bus_undecodable_total", &self.labels).increment(1);
                if !std::mem::replace(&mut self.warned, true) {
                    let (consumer, subject) = (&self.consumer, &message.subject);
                    tracing::warn!(%consumer, %subject, %why, "invalid event from the broker; read from the log instead");
                }
            })
            .ok()
    }

    fn record_lag(&self) {
        let lag = self.high_water_mark.saturating_sub(self.acknowledged);
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        metrics::gauge!("berth_consumer_lag", &self.labels).set(lag.max(0) as f64);
    }
}

impl Drop for JetStreamSubscription {
    fn drop(&mut self) {
        self.broker.heartbeats.remove(&self.log);
    }
}

#[tonic::async_trait]
impl Subscription for JetStreamSubscription {
    async fn next(&mut self) -> Result<Signal, BusError> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        loop {
            if let Some(signal) = self.step().await {
                return Ok(signal);
            }
        }
    }

    fn try_next(&mut self) -> Option<Signal> {
        self.next().now_or_never()?.ok()
    }

    async fn acknowledge(&mut self) {
        self.acknowledged = self.delivered.0;
        self.record_lag();
        if let Some(last) = self.delivered.1.take() {
            acknowledge(last).await;
        }
    }
}

/// Acknowledges all messages up to one. If the acknowledgement is lost, the broker redelivers them.
async fn acknowledge(last: Acker) {
    let _ = timeout(REQUEST_TIMEOUT, last.ack()).await;
}

async fn next_heartbeat(heartbeats: &mut Option<Subscriber>) -> Option<async_nats::Message> {
    match heartbeats {
        Some(heartbeats) => heartbeats.next().await,
        None => std::future::pending().await,
    }
}

async fn response<T>(request: &mut Option<BoxFuture<'static, T>>) -> T {
    match request {
        Some(request) => request.await,
        None => std::future::pending().await,
    }
}
