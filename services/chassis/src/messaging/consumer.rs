//! A consumer: a cursor over a producer's log. The cursor moves in the same transaction as the effect, so every event has
//! its effect exactly once and in order; what the bus loses is read from the log.

mod inspect;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use crate::{
    base::{
        last_outcome::LastOutcome,
        time::{SignedDuration, Timestamp},
    },
    domain::{event::Recorded, log_id::LogId},
    messaging::{
        bus::Signal,
        log_reader::{LogError, LogReader},
        policies::{ReactError, Reactions},
    },
    store::{Batch, DeadLetter, Savepoint, Store, StoreError, UnitOfWork, projections::Views},
};

/// At most so many events share a transaction.
const BATCH: usize = 128;
/// After so many tries a dead letter waits for an operator.
pub const ATTEMPTS: i64 = 8;

/// Why a step of a consumer failed; the next one takes up where it left off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsumeError {
    /// Its own store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The producer's log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Another replica works on this log.
    #[error("the cursor has been moved by somebody else")]
    Fenced,
    /// An event of the batch could not have its effect; without savepoints nothing of the batch is kept.
    #[error("an event of the batch cannot be consumed")]
    Spoilt,
    /// A test broke it.
    #[error(transparent)]
    Fault(#[from] crate::base::faults::Injected),
}

/// How a batch is taken. Savepoints are dear and nearly all events have their effect: a batch is taken without them
/// first, and only one that holds an event that fails is taken again with one around each event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Care {
    Hopeful,
    Careful,
}

impl crate::store::AsStoreError for ConsumeError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

/// A consumer of one producer's log.
#[derive(Clone, Debug)]
pub struct Consumer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    producer: LogId,
    store: Store,
    log: Arc<dyn LogReader>,
    types: BTreeSet<String>,
    reactions: Reactions,
    /// Where the cursor was left, so that it need not be read; [`UNKNOWN`] before the first time and after a failure.
    left_at: AtomicI64,
    /// The highest sequence number it was told of.
    heard: AtomicI64,
    /// Whether the log lacks what comes next.
    gap: AtomicBool,
    /// When it last moved, and why its last step failed if it did.
    track: LastOutcome,
}

const UNKNOWN: i64 = -1;

impl Consumer {
    pub(crate) fn new(
        name: String,
        producer: LogId,
        store: Store,
        log: Arc<dyn LogReader>,
        reactions: Reactions,
    ) -> Self {
        let types = reactions.types();
        Self(Arc::new(Inner {
            name,
            producer,
            store,
            log,
            types,
            reactions,
            left_at: AtomicI64::new(UNKNOWN),
            heard: AtomicI64::new(0),
            gap: AtomicBool::new(false),
            track: LastOutcome::default(),
        }))
    }

    /// A consumer that writes views, beside those a site has: to build them anew under another name.
    pub fn of_views(
        name: String,
        producer: LogId,
        store: Store,
        log: Arc<dyn LogReader>,
        views: Views,
    ) -> Self {
        Self::new(name, producer, store, log, Reactions::Views(views))
    }

    /// Its name: the context, or `<context>.views`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The log that it reads.
    pub fn producer(&self) -> &LogId {
        &self.0.producer
    }

    /// How far it has come.
    pub async fn cursor(&self) -> Result<i64, StoreError> {
        let inner = &self.0;
        inner
            .store
            .cursor(inner.name.clone(), inner.producer.clone())
            .await
    }

    /// What it has left to do now, if anything.
    pub(crate) async fn busy(&self) -> Result<Option<String>, StoreError> {
        let inner = &self.0;
        let (name, producer) = (&inner.name, &inner.producer);
        let cursor = self.cursor().await?;
        match inner.log.head().await {
            Ok(head) if head <= cursor => {}
            Ok(head) => {
                return Ok(Some(format!(
                    "{name} is at {cursor} of {head} of {producer}"
                )));
            }
            Err(error) => return Ok(Some(format!("{name} cannot see {producer}: {error}"))),
        }
        let now = inner.store.clock().now();
        let due = inner.store.any_letters_due(name.clone(), now).await?;
        Ok(due.then(|| format!("{name} has dead letters to try again")))
    }

    /// Tells the producer how far it has come, for it may have gone back. Answers how far the producer's log goes.
    pub async fn report(&self) -> Result<i64, ConsumeError> {
        let inner = &self.0;
        // Its own store may have gone back, too.
        inner.left_at.store(UNKNOWN, Ordering::SeqCst);
        let cursor = self.cursor().await?;
        let head = inner.log.seen(cursor, &inner.name).await?;
        if head < cursor {
            tracing::error!(consumer = %inner.name, producer = %inner.producer, cursor, head, "the log has gone back");
        }
        Ok(head)
    }

    /// Takes what a signal is about: its events if they come next, else what the log has up to the head that is told of.
    /// Answers whether it took any.
    pub async fn consume(&self, signal: Signal) -> Result<bool, ConsumeError> {
        let told = match &signal {
            Signal::Head(head) => *head,
            Signal::Events(events) => events.iter().map(|event| event.seq).max().unwrap_or(0),
        };
        self.0.heard.fetch_max(told, Ordering::Relaxed);
        let consumed = match self.left_at().await {
            Ok(cursor) => self.consume_from(cursor, signal).await,
            Err(error) => Err(error.into()),
        };
        match &consumed {
            Ok(_) => self.0.track.clear_failure(),
            Err(error) => {
                self.0.left_at.store(UNKNOWN, Ordering::SeqCst);
                self.fails(error);
            }
        }
        consumed
    }

    async fn left_at(&self) -> Result<i64, StoreError> {
        match self.0.left_at.load(Ordering::SeqCst) {
            UNKNOWN => self.cursor().await,
            known => Ok(known),
        }
    }

    async fn consume_from(&self, mut cursor: i64, signal: Signal) -> Result<bool, ConsumeError> {
        let inner = &self.0;
        let mut taken = false;
        let head = match signal {
            Signal::Head(head) if head < cursor => {
                // Old news, unless the log itself says the same.
                self.report().await?;
                head
            }
            Signal::Head(head) => {
                if head == cursor {
                    // While nothing else happens its own store may go back: the next time it is asked where the cursor is.
                    inner.left_at.store(UNKNOWN, Ordering::SeqCst);
                }
                head
            }
            Signal::Events(mut events) => {
                events.sort_by_key(|event| event.seq);
                let head = events.last().map_or(0, |last| last.seq);
                let mut next = Vec::new();
                for event in events {
                    if event.seq == cursor + 1 + i64::try_from(next.len()).unwrap_or(0) {
                        next.push(event);
                    }
                }
                for batch in next.chunks(BATCH) {
                    cursor = self.take(cursor, batch.to_vec()).await?;
                    taken = true;
                }
                head
            }
        };
        while cursor < head {
            let limit = i64::try_from(BATCH).unwrap_or(i64::MAX).min(head - cursor);
            let batch = unbroken(inner.log.read(cursor, limit).await?);
            if batch.is_empty() {
                tracing::warn!(consumer = %inner.name, producer = %inner.producer, cursor, head, "log ends before its head");
                inner.gap.store(true, Ordering::Relaxed);
                break;
            }
            let labels = [
                ("consumer", inner.name.clone()),
                ("producer", inner.producer.to_string()),
            ];
            metrics::counter!("berth_consumed_from_log_total", &labels)
                .increment(u64::try_from(batch.len()).unwrap_or(0));
            cursor = self.take(cursor, batch).await?;
            taken = true;
        }
        Ok(taken)
    }

    /// Takes a contiguous batch in one transaction with the cursor. Answers where the cursor is then.
    async fn take(&self, cursor: i64, batch: Vec<Recorded>) -> Result<i64, ConsumeError> {
        let Some(last) = batch.last().map(|last| last.seq) else {
            return Ok(cursor);
        };
        if batch.first().is_some_and(|first| first.seq != cursor + 1) {
            self.0.gap.store(true, Ordering::Relaxed);
            return Err(LogError("the log has a gap".into()).into());
        }
        let point = format!("consumer.{}", self.0.name);
        self.0.store.faults().pass(&point)?;
        let count = batch.len();
        match self
            .transact(cursor, last, batch.clone(), Care::Hopeful)
            .await
        {
            // What a statement does may show only when the whole is to be committed.
            Err(ConsumeError::Spoilt | ConsumeError::Store(StoreError::Bug(_))) => {
                self.transact(cursor, last, batch, Care::Careful).await?;
            }
            done => done?,
        }
        self.0.left_at.store(last, Ordering::SeqCst);
        self.0.gap.store(false, Ordering::Relaxed);
        self.0.track.record_success(self.0.store.clock().now());
        let labels = [
            ("consumer", self.0.name.clone()),
            ("producer", self.0.producer.to_string()),
        ];
        metrics::counter!("berth_consumed_events_total", &labels)
            .increment(u64::try_from(count).unwrap_or(0));
        Ok(last)
    }

    async fn transact(
        &self,
        from: i64,
        to: i64,
        batch: Vec<Recorded>,
        care: Care,
    ) -> Result<(), ConsumeError> {
        let this = self.clone();
        let work = self.0.store.transact(move |unit| {
            let (this, batch) = (this.clone(), batch.clone());
            Box::pin(async move { this.take_with(unit, from, to, &batch, care).await })
        });
        work.await
    }

    /// Takes a contiguous batch as part of a transaction: the events after `from` up to `to`.
    pub async fn take_in(
        &self,
        unit: &mut UnitOfWork<'_>,
        from: i64,
        to: i64,
        batch: &[Recorded],
    ) -> Result<(), ConsumeError> {
        self.take_with(unit, from, to, batch, Care::Careful).await
    }

    async fn take_with(
        &self,
        unit: &mut UnitOfWork<'_>,
        from: i64,
        to: i64,
        batch: &[Recorded],
        care: Care,
    ) -> Result<(), ConsumeError> {
        let inner = &self.0;
        let advanced = unit.advance(Batch {
            consumer: &inner.name,
            producer: inner.producer.context(),
            from,
            to,
            // What several producers tell meets in the same rows.
            alone: matches!(inner.reactions, Reactions::Views(_)),
        });
        let blocked = advanced.await?.ok_or(ConsumeError::Fenced)?;
        let mut blocked: BTreeSet<String> = blocked.into_iter().collect();
        let heard = |event: &&Recorded| inner.types.contains(&event.event_type);
        if care == Care::Hopeful {
            let subjects = inner.reactions.subjects(batch.iter().filter(heard));
            unit.look_ahead(subjects).await?;
        }
        for event in batch.iter().filter(heard) {
            let letter = if blocked.contains(&event.subject) {
                Some(self.letter(event, String::new(), 0, unit.at()))
            } else {
                self.react(unit, event, care)
                    .await?
                    .map(|reason| self.letter(event, reason, 1, unit.at()))
            };
            if let Some(letter) = letter {
                blocked.insert(event.subject.clone());
                unit.put_letter(&letter).await?;
            }
        }
        Ok(())
    }

    /// Lets an event have its effect. Answers why it could not, if it could not; a store that fails fails the whole step.
    async fn react(
        &self,
        unit: &mut UnitOfWork<'_>,
        event: &Recorded,
        care: Care,
    ) -> Result<Option<String>, ConsumeError> {
        if care == Care::Careful {
            unit.savepoint(Savepoint::Set).await?;
        }
        let mut effect = self.0.reactions.react(unit, event).await;
        if effect.is_ok() && care == Care::Careful {
            effect = unit.savepoint(Savepoint::Release).await.map_err(Into::into);
        }
        match (effect, care) {
            (Ok(()), _) => Ok(None),
            (Err(ReactError::Store(error)), _)
                if matches!(
                    error,
                    StoreError::Unavailable(_) | StoreError::Contended | StoreError::Fenced(_)
                ) =>
            {
                Err(error.into())
            }
            (Err(_), Care::Hopeful) => Err(ConsumeError::Spoilt),
            (Err(error), Care::Careful) => {
                unit.savepoint(Savepoint::Back).await?;
                unit.savepoint(Savepoint::Release).await?;
                tracing::warn!(consumer = %self.0.name, event.id = %event.id, event.type = %event.event_type,
                    error = %error, "event could not be consumed");
                Ok(Some(error.to_string()))
            }
        }
    }

    fn letter(&self, event: &Recorded, reason: String, attempts: i64, at: Timestamp) -> DeadLetter {
        let parked = attempts >= ATTEMPTS;
        if parked {
            metrics::counter!("berth_parked_events_total", "consumer" => self.0.name.clone())
                .increment(1);
        }
        DeadLetter {
            consumer: self.0.name.clone(),
            event: event.clone(),
            reason,
            attempts,
            parked,
            next_attempt: at.saturating_add(backoff(attempts)).unwrap_or(at),
        }
    }

    /// Tries the dead letters again whose time has come, one of each aggregate. Answers whether any had its effect.
    pub async fn retry(&self) -> Result<bool, ConsumeError> {
        let inner = &self.0;
        let (name, at) = (inner.name.clone(), inner.store.clock().now());
        if !inner.store.any_letters_due(name, at).await? {
            return Ok(false);
        }
        let this = self.clone();
        inner
            .store
            .transact(move |unit| {
                let this = this.clone();
                Box::pin(async move { this.retry_in(unit).await })
            })
            .await
    }

    async fn retry_in(&self, unit: &mut UnitOfWork<'_>) -> Result<bool, ConsumeError> {
        let mut any = false;
        for letter in unit.letters_due(&self.0.name).await? {
            if letter.event.producer != self.0.producer.context() {
                continue;
            }
            match self.react(unit, &letter.event, Care::Careful).await? {
                None => {
                    unit.remove_letter(&letter).await?;
                    any = true;
                }
                Some(reason) => {
                    let again = self.letter(&letter.event, reason, letter.attempts + 1, unit.at());
                    unit.put_letter(&again).await?;
                }
            }
        }
        Ok(any)
    }
}

/// The events of a batch up to where a number is missing. What comes after it must not be taken: the cursor would pass over
/// what is missing for ever.
fn unbroken(mut batch: Vec<Recorded>) -> Vec<Recorded> {
    let first = batch.first().map_or(0, |first| first.seq);
    let numbers = batch.iter().zip(first..);
    let unbroken = numbers.take_while(|(event, seq)| event.seq == *seq).count();
    batch.truncate(unbroken);
    batch
}

/// How long a dead letter waits after so many tries: 100 ms, doubled each time, at most a minute.
fn backoff(attempts: i64) -> SignedDuration {
    if attempts == 0 {
        return SignedDuration::ZERO;
    }
    let doublings = u32::try_from(attempts.clamp(1, 20) - 1).unwrap_or(0);
    SignedDuration::from_millis((100_i64 << doublings).min(60_000))
}
