//! A consumer's end of the bus. It never fails because the broker is away: then it asks the log how far it has come, once a
//! second, and tries to come back in the meantime.

use std::{
    fmt,
    sync::{Arc, PoisonError},
    time::Duration,
};

use async_nats::{
    Subscriber,
    jetstream::{
        consumer::pull,
        message::{Acker, Message},
    },
};
use futures::{FutureExt, StreamExt, future::BoxFuture};
use tokio::{
    task::unconstrained,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    domain::{event::Recorded, log_id::LogId},
    messaging::{
        bus::{BusError, Feed, Signal},
        jetstream::{Broker, PATIENCE, cloudevents, cloudevents::NoEvent, streams::failed},
    },
};

/// At most so many events are given at once. The broker has sent at most half as many more.
const BATCH: usize = 256;
/// At most so many bytes, and one event.
const BYTES: usize = 1024 * 1024;
/// How often the broker says that it still listens when it has nothing to give; twice that long without a word, and it is
/// asked anew.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long the broker remembers that it was asked.
const ASKED: Duration = Duration::from_secs(30);
/// How long an event may take that was told before it came.
const GRACE: Duration = Duration::from_millis(250);
/// After so long without a word from the producer its log is asked, once a second.
const SILENCE: Duration = Duration::from_secs(3);
const SECOND: Duration = Duration::from_secs(1);

/// A feed.
pub(super) struct JetFeed {
    broker: Arc<Broker>,
    log: LogId,
    consumer: String,
    labels: [(&'static str, String); 2],
    beats: Option<Subscriber>,
    line: Line,
    asking: Option<BoxFuture<'static, Option<i64>>>,
    asked: Instant,
    /// When there was last a word from the producer.
    heard: Instant,
    /// When the last event came, and whether the broker has more of them.
    came: Instant,
    more: bool,
    /// How far the log is known to have come, to be told at that time unless the events come before.
    held: Option<(Instant, i64)>,
    /// How far the log is known to have come, and how far the consumer has come.
    head: i64,
    taken: i64,
    /// What was given and has no effect yet: how far it goes, and how the broker is told that it was taken.
    given: (i64, Option<Acker>),
    complained: bool,
    first: Option<Signal>,
}

/// The way to the broker.
enum Line {
    Down(Instant),
    Rising(BoxFuture<'static, Result<(pull::Stream, u64), BusError>>),
    Up(Box<pull::Stream>),
}

/// What happens to a feed.
enum Turn {
    Retry,
    Rose(Result<(pull::Stream, u64), BusError>),
    Message(Message),
    Fell(String),
    Beat(Option<async_nats::Message>),
    Answer(Option<i64>),
    Time,
}

impl fmt::Debug for JetFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetFeed")
            .field("consumer", &self.consumer)
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

impl JetFeed {
    pub(super) fn new(broker: Arc<Broker>, log: LogId, consumer: String) -> Self {
        let labels = [
            ("consumer", consumer.clone()),
            ("producer", log.to_string()),
        ];
        let now = Instant::now();
        Self {
            broker,
            log,
            consumer,
            labels,
            beats: None,
            line: Line::Down(now),
            asking: None,
            asked: now,
            heard: now,
            came: now,
            more: false,
            held: None,
            head: 0,
            taken: 0,
            given: (0, None),
            complained: false,
            first: None,
        }
    }

    /// Finds out what there is already: from the broker, if that is there, and how far the log has come.
    pub(super) async fn begin(mut self) -> Self {
        self.listen().await;
        if self.broker.is_connected() {
            let rose = rise(self.broker.clone(), self.consumer.clone(), self.log.clone()).await;
            self.rose(rose);
            if self.more
                && let Line::Up(stream) = &mut self.line
                && let Ok(Some(Ok(message))) = timeout(SECOND, stream.next()).await
            {
                self.first = self.events(message).await;
            }
        }
        self.ask();
        if let Some(asking) = &mut self.asking
            && let Ok(answer) = timeout(GRACE, asking).await
        {
            self.answered(answer);
        }
        self
    }

    /// Does one thing. Answers what there is to tell, if anything.
    async fn turn(&mut self) -> Option<Signal> {
        let wait = self.wait();
        let turn = tokio::select! {
            biased;
            turn = self.line.turn() => turn,
            beat = next(&mut self.beats) => Turn::Beat(beat),
            answer = ready(&mut self.asking) => Turn::Answer(answer),
            () = until(wait) => Turn::Time,
        };
        let now = Instant::now();
        match turn {
            Turn::Message(message) => return self.events(message).await,
            Turn::Retry => {
                let (broker, log) = (self.broker.clone(), self.log.clone());
                self.line = Line::Rising(Box::pin(rise(broker, self.consumer.clone(), log)));
            }
            Turn::Rose(rose) => {
                self.rose(rose);
                if matches!(self.line, Line::Up(_)) {
                    // What was published while the line was down may not come at all.
                    self.ask();
                }
            }
            Turn::Fell(why) => {
                tracing::debug!(
                    consumer = self.consumer,
                    producer = self.log.context(),
                    why,
                    "feed interrupted"
                );
                self.line = Line::Down(now + SECOND);
            }
            Turn::Beat(Some(beat)) => {
                let head = std::str::from_utf8(&beat.payload).ok();
                if let Some(head) = head.and_then(|head| head.parse().ok()) {
                    self.heard = now;
                    self.broker.hears(&self.log, head);
                    self.hold(now + GRACE, head);
                }
            }
            Turn::Beat(None) => self.beats = None,
            Turn::Answer(answer) => self.answered(answer),
            Turn::Time => return self.on_time(now).await,
        }
        None
    }

    /// What is to be done when nothing happens.
    async fn on_time(&mut self, now: Instant) -> Option<Signal> {
        if self.may_tell() <= now
            && let Some((due, head)) = self.held.take()
        {
            // Events that came since say more.
            if head <= self.given.0 && self.came + GRACE > due {
                return None;
            }
            self.given.0 = head.max(self.given.0);
            return Some(Signal::Head(head));
        }
        if now >= self.heard + SILENCE {
            if self.beats.is_none() {
                self.listen().await;
            }
            if self.asking.is_none() {
                self.ask();
            }
        }
        None
    }

    /// Listens to the beats of the producer. The connection keeps that up from then on.
    async fn listen(&mut self) {
        if self.broker.is_connected() {
            let heads = self.broker.names.heads(&self.log);
            let beats = timeout(PATIENCE, self.broker.client.subscribe(heads)).await;
            self.beats = beats.ok().and_then(Result::ok);
            self.broker.listens(&self.log);
        }
    }

    /// When there is something to do even if nothing happens.
    fn wait(&self) -> Instant {
        let silence = (self.heard + SILENCE).max(self.asked + SECOND);
        match (&self.held, &self.asking) {
            (Some(_), Some(_)) => self.may_tell(),
            (Some(_), None) => self.may_tell().min(silence),
            (None, Some(_)) => Instant::now() + SECOND,
            (None, None) => silence,
        }
    }

    /// When the head that is held may be told: not while the broker has more events to give.
    fn may_tell(&self) -> Instant {
        let due = self.held.map_or_else(Instant::now, |(due, _)| due);
        match &self.line {
            Line::Up(_) if self.more => due.max(self.came + SECOND),
            _ => due,
        }
    }

    fn hold(&mut self, due: Instant, head: i64) {
        self.head = head;
        self.lag();
        // The one that waits already is told first.
        if self.held.is_none() {
            self.held = Some((due, head));
        }
    }

    fn ask(&mut self) {
        self.asked = Instant::now();
        let Some(log) = self.broker.logs.get(self.log.context()).cloned() else {
            return;
        };
        metrics::counter!("berth_bus_heads_asked_total", &self.labels).increment(1);
        self.asking = Some(Box::pin(async move {
            let head = timeout(PATIENCE, log.head()).await;
            head.ok().and_then(Result::ok)
        }));
    }

    fn answered(&mut self, answer: Option<i64>) {
        self.asking = None;
        if let Some(head) = answer {
            // There is none newer.
            self.held = None;
            self.hold(Instant::now(), head);
        }
    }

    fn rose(&mut self, rose: Result<(pull::Stream, u64), BusError>) {
        let now = Instant::now();
        self.more = false;
        self.line = match rose {
            Ok((stream, waiting)) => {
                (self.came, self.more) = (now, waiting > 0);
                Line::Up(Box::new(stream))
            }
            Err(error) => {
                tracing::debug!(consumer = self.consumer, producer = self.log.context(), %error, "no feed");
                Line::Down(now + SECOND)
            }
        };
    }

    /// The events that have come, beginning with the first.
    async fn events(&mut self, first: Message) -> Option<Signal> {
        let mut events = Vec::new();
        let (mut bytes, mut count, mut message) = (0, 0, first);
        let last = loop {
            count += 1;
            bytes += message.length;
            events.extend(self.event(&message));
            let (_, acker) = message.split();
            let Line::Up(stream) = &mut self.line else {
                break acker;
            };
            if count >= BATCH || bytes >= BYTES {
                break acker;
            }
            // What fails here fails again at the next turn.
            match unconstrained(stream.next()).now_or_never() {
                Some(Some(Ok(next))) => message = next,
                _ => break acker,
            }
        };
        self.heard = Instant::now();
        self.came = self.heard;
        if let Some(seq) = events.iter().map(|event: &Recorded| event.seq).max() {
            let received = u64::try_from(events.len()).unwrap_or(0);
            metrics::counter!("berth_bus_received_total", &self.labels).increment(received);
            self.given = (seq.max(self.given.0), Some(last));
            return Some(Signal::Events(events));
        }
        // Nothing of it can have an effect; it must not be in the way of what can.
        acknowledge(last).await;
        None
    }

    /// The event in a message, if it is one. What is not is missed in the sequence, and read from the log.
    fn event(&mut self, message: &Message) -> Option<Recorded> {
        if let Ok(info) = message.info() {
            self.more = info.pending > 0;
            if info.delivered > 1 {
                metrics::counter!("berth_bus_redelivered_total", &self.labels).increment(1);
            }
        }
        let none = async_nats::HeaderMap::new();
        let headers = message.headers.as_ref().unwrap_or(&none);
        let event_type = self.broker.names.event_type(&self.log, &message.subject);
        let event = event_type.ok_or(NoEvent::Elsewhere).and_then(|event_type| {
            cloudevents::event(&self.log, event_type, headers, message.payload.clone())
        });
        event
            .inspect_err(|why| {
                metrics::counter!("berth_bus_undecodable_total", &self.labels).increment(1);
                if !std::mem::replace(&mut self.complained, true) {
                    let (consumer, subject) = (&self.consumer, &message.subject);
                    tracing::warn!(consumer, %subject, %why, "not an event; its log is asked instead");
                }
            })
            .ok()
    }

    /// How far the consumer is behind.
    fn lag(&self) {
        let behind = self.head.saturating_sub(self.taken).max(0);
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        metrics::gauge!("berth_consumer_lag", &self.labels).set(behind as f64);
    }
}

impl Broker {
    /// A producer is listened to from now on, if it was not before.
    fn listens(&self, log: &LogId) {
        let beats = self.heard.lock();
        let mut beats = beats.unwrap_or_else(PoisonError::into_inner);
        beats.entry(log.clone()).or_insert((0, Instant::now()));
    }

    /// A producer gives a sign of life.
    fn hears(&self, log: &LogId, head: i64) {
        let beats = self.heard.lock();
        let mut beats = beats.unwrap_or_else(PoisonError::into_inner);
        beats.insert(log.clone(), (head, Instant::now()));
    }

    /// A producer is not listened to any more. Who still does says so at the next sign of life.
    fn ignores(&self, log: &LogId) {
        let beats = self.heard.lock();
        beats.unwrap_or_else(PoisonError::into_inner).remove(log);
    }
}

impl Drop for JetFeed {
    fn drop(&mut self) {
        self.broker.ignores(&self.log);
    }
}

impl Feed for JetFeed {
    fn next(&mut self) -> BoxFuture<'_, Result<Signal, BusError>> {
        Box::pin(async {
            if let Some(first) = self.first.take() {
                return Ok(first);
            }
            loop {
                if let Some(signal) = self.turn().await {
                    return Ok(signal);
                }
            }
        })
    }

    fn ready(&mut self) -> Option<Signal> {
        self.next().now_or_never()?.ok()
    }

    fn taken(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.taken = self.given.0;
            self.lag();
            if let Some(last) = self.given.1.take() {
                acknowledge(last).await;
            }
        })
    }
}

impl Line {
    async fn turn(&mut self) -> Turn {
        match self {
            Self::Down(again) => {
                until(*again).await;
                Turn::Retry
            }
            Self::Rising(rising) => Turn::Rose(rising.await),
            Self::Up(stream) => match stream.next().await {
                Some(Ok(message)) => Turn::Message(message),
                Some(Err(error)) => Turn::Fell(error.to_string()),
                None => Turn::Fell("it has ended".to_owned()),
            },
        }
    }
}

/// Takes the way to the broker. Answers how much waits there.
async fn rise(
    broker: Arc<Broker>,
    consumer: String,
    log: LogId,
) -> Result<(pull::Stream, u64), BusError> {
    broker.reach()?;
    let rise = async {
        let consumer = broker.consumer(&consumer, &log).await?;
        let waiting = consumer.cached_info().num_pending;
        let stream = consumer.stream().max_messages_per_batch(BATCH);
        let stream = stream.expires(ASKED).heartbeat(HEARTBEAT).messages();
        Ok((stream.await.map_err(failed)?, waiting))
    };
    timeout(2 * PATIENCE, rise).await.map_err(failed)?
}

/// Tells the broker that everything up to a message was taken. If it does not hear that, it repeats some of it.
async fn acknowledge(last: Acker) {
    let _ = timeout(PATIENCE, last.ack()).await;
}

async fn until(time: Instant) {
    if time > Instant::now() {
        sleep_until(time).await;
    }
}

async fn next(beats: &mut Option<Subscriber>) -> Option<async_nats::Message> {
    match beats {
        Some(beats) => beats.next().await,
        None => std::future::pending().await,
    }
}

async fn ready<T>(asking: &mut Option<BoxFuture<'static, T>>) -> T {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}
