//! A consumer: a cursor over a producer's log. The cursor moves in the same transaction as the effect, so every event has
//! its effect exactly once and in order. What the bus loses is read from the log.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use berth::inspection::v1 as inspection;
use bytes::Bytes;

use crate::{
    base::{last_outcome::LastOutcome, time::to_proto},
    domain::{
        consumer_name::ConsumerName,
        event::Recorded,
        log_id::LogId,
        position::{Cursor, Position, Reported},
    },
    messaging::{
        applier::Applier,
        bus::Signal,
        consume_error::ConsumeError,
        log_reader::{LogError, LogReader},
        reactions::Reactions,
    },
    store::{Store, StoreError, UnitOfWork, projections::Views},
};

/// Maximum number of events in one transaction.
const BATCH: usize = 128;

/// A consumer of one producer's log. Clones are the same consumer.
#[derive(Clone, Debug)]
pub struct Consumer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    applier: Arc<Applier>,
    log: Arc<dyn LogReader>,
    /// The cursor after the last step, so that it need not be read from the store.
    cached_cursor: Mutex<Option<Cursor>>,
    /// The highest sequence number received.
    high_water_mark: AtomicI64,
    /// Whether the log lacks the next event.
    gap: AtomicBool,
    /// When events were last applied, and why the last step failed if it did.
    outcome: LastOutcome,
}

impl Consumer {
    pub(crate) fn new(
        name: ConsumerName,
        producer: LogId,
        store: Store,
        log: Arc<dyn LogReader>,
        reactions: Reactions,
    ) -> Self {
        Self(Arc::new(Inner {
            applier: Arc::new(Applier::new(name, producer, store, reactions)),
            log,
            cached_cursor: Mutex::default(),
            high_water_mark: AtomicI64::new(0),
            gap: AtomicBool::new(false),
            outcome: LastOutcome::default(),
        }))
    }

    /// A consumer that writes views under another name than the live one, for a rebuild.
    pub fn of_views(
        name: ConsumerName,
        producer: LogId,
        store: Store,
        log: Arc<dyn LogReader>,
        views: Views,
    ) -> Self {
        Self::new(name, producer, store, log, Reactions::Views(views))
    }

    /// Its name: the context, or `<context>.views`.
    pub fn name(&self) -> &ConsumerName {
        &self.0.applier.consumer
    }

    /// The log that it reads.
    pub fn producer(&self) -> &LogId {
        &self.0.applier.producer
    }

    /// Its cursor, as stored.
    pub async fn cursor(&self) -> Result<Cursor, StoreError> {
        let (name, producer) = (self.name().clone(), self.producer().clone());
        self.store().cursor(name, producer).await
    }

    fn store(&self) -> &Store {
        &self.0.applier.store
    }

    async fn cached_cursor(&self) -> Result<Cursor, StoreError> {
        let cached = *self.lock_cursor();
        match cached {
            Some(cursor) => Ok(cursor),
            None => self.cursor().await,
        }
    }

    fn cache_cursor(&self, cursor: Option<Cursor>) {
        *self.lock_cursor() = cursor;
    }

    fn lock_cursor(&self) -> MutexGuard<'_, Option<Cursor>> {
        let cursor = self.0.cached_cursor.lock();
        cursor.unwrap_or_else(PoisonError::into_inner)
    }

    /// The work that is left now, if any.
    pub(crate) async fn busy(&self) -> Result<Option<String>, StoreError> {
        let (name, producer) = (self.name(), self.producer());
        let cursor = self.cursor().await?.at.seq;
        match self.0.log.high_water_mark().await.map(|mark| mark.seq) {
            Ok(head) if head <= cursor => {}
            Ok(head) => {
                return Ok(Some(format!(
                    "{name} is at {cursor} of {head} of {producer}"
                )));
            }
            Err(error) => return Ok(Some(format!("{name} cannot read {producer}: {error}"))),
        }
        let now = self.store().clock().now();
        let due = self.0.applier.dead_letters.any_due(now).await?;
        Ok(due.then(|| format!("{name} has dead letters to retry")))
    }

    /// Reports the cursor to the producer, whose log may have lost events. If the log was recovered since, the consumer
    /// continues where the producer says. Returns the cursor, and the high-water mark of the log.
    pub async fn report_cursor(&self) -> Result<(Cursor, Position), ConsumeError> {
        // The consumer's own store may have lost commits, too.
        self.cache_cursor(None);
        let cursor = self.cursor().await?;
        let reported = self.0.log.report_cursor(cursor.at, self.name()).await?;
        let Reported {
            high_water_mark,
            resume,
        } = reported;
        let cursor = match resume {
            Some(resume) => self.resume(cursor, resume).await?,
            None => cursor,
        };
        if high_water_mark.seq < cursor.at.seq {
            let (cursor, head) = (cursor.at.seq, high_water_mark.seq);
            tracing::error!(consumer = %self.name(), producer = %self.producer(), cursor, head, "log ends before the cursor");
        }
        Ok((cursor, high_water_mark))
    }

    /// Continues at another cursor, because the log was recovered.
    async fn resume(&self, before: Cursor, mut resume: Cursor) -> Result<Cursor, ConsumeError> {
        if resume.at.seq == before.at.seq {
            resume.skip = before.skip;
        } else {
            tracing::warn!(consumer = %self.name(), producer = %self.producer(), from = before.at.seq, to = resume.at.seq,
                "log recovered with another history: the cursor moves back");
        }
        let (name, producer) = (self.name().clone(), self.producer().clone());
        let resumed = self.store().transact(move |unit| {
            let (name, producer) = (name.clone(), producer.clone());
            Box::pin(async move {
                unit.resume(&name, &producer, before.at.seq, resume).await?;
                Ok::<_, StoreError>(())
            })
        });
        resumed.await?;
        Ok(resume)
    }

    /// Applies the events of a signal if they come next, and reads from the log up to the signal's high-water mark. Returns
    /// whether any event was applied.
    pub async fn consume(&self, signal: Signal) -> Result<bool, ConsumeError> {
        let mark = match &signal {
            Signal::HighWaterMark(mark) => mark.seq,
            Signal::Events(events) => events.iter().map(|event| event.seq).max().unwrap_or(0),
        };
        self.0.high_water_mark.fetch_max(mark, Ordering::Relaxed);
        let consumed = match self.cached_cursor().await {
            Ok(cursor) => self.consume_from(cursor, mark, signal).await,
            Err(error) => Err(error.into()),
        };
        match &consumed {
            Ok(_) => self.0.outcome.clear_failure(),
            Err(error) => {
                self.cache_cursor(None);
                self.record_failure(error);
            }
        }
        consumed
    }

    async fn consume_from(
        &self,
        mut cursor: Cursor,
        mut mark: i64,
        signal: Signal,
    ) -> Result<bool, ConsumeError> {
        let start = cursor;
        match signal {
            Signal::HighWaterMark(mark) => {
                // An old signal, or the log has lost events.
                let is_other = mark.seq == cursor.at.seq && mark.digest != cursor.at.digest;
                if mark.seq < cursor.at.seq || mark.epoch != cursor.at.epoch || is_other {
                    cursor = self.report_cursor().await?.0;
                } else if mark.seq == cursor.at.seq {
                    // While nothing happens either store may lose commits, and a log that was not compared with anybody
                    // numbers no events. A log that cannot be reached is compared later.
                    match self.report_cursor().await {
                        Ok((reported, _)) => cursor = reported,
                        Err(ConsumeError::Log(_)) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            Signal::Events(events) => {
                for batch in contiguous_after(cursor.at.seq, events).chunks(BATCH) {
                    let Some(to) = follow(cursor.at, batch) else {
                        // The log knows which history is right: that of the bus, or that of this consumer.
                        let (reported, high_water_mark) = self.report_cursor().await?;
                        (cursor, mark) = (reported, high_water_mark.seq);
                        break;
                    };
                    cursor = self.apply(cursor, to, batch.to_vec()).await?;
                }
            }
        }
        while cursor.at.seq < mark {
            let batch = self.read_batch(cursor.at.seq, mark).await?;
            if batch.is_empty() {
                break;
            }
            if let Some(to) = follow(cursor.at, &batch) {
                cursor = self.apply(cursor, to, batch).await?;
            } else {
                let (resumed, _) = self.report_cursor().await?;
                if resumed == cursor {
                    return Err(ConsumeError::OtherHistory);
                }
                cursor = resumed;
            }
        }
        Ok(cursor != start)
    }

    /// Reads the next events from the log, up to the first gap.
    async fn read_batch(&self, cursor: i64, mark: i64) -> Result<Vec<Recorded>, ConsumeError> {
        let inner = &self.0;
        let limit = i64::try_from(BATCH).unwrap_or(i64::MAX).min(mark - cursor);
        let batch = until_gap(inner.log.read(cursor, limit).await?);
        match batch.first() {
            None => {
                tracing::warn!(consumer = %self.name(), producer = %self.producer(), cursor, high_water_mark = mark, "log ends before its high-water mark");
                inner.gap.store(true, Ordering::Relaxed);
            }
            Some(first) if first.seq != cursor + 1 => {
                inner.gap.store(true, Ordering::Relaxed);
                return Err(LogError("the log has a gap".into()).into());
            }
            Some(_) => self.count("berth_consumed_from_log_total", batch.len()),
        }
        Ok(batch)
    }

    /// Applies a contiguous batch and moves the cursor in one transaction. Returns the new cursor.
    async fn apply(
        &self,
        cursor: Cursor,
        to: Position,
        batch: Vec<Recorded>,
    ) -> Result<Cursor, ConsumeError> {
        let inner = &self.0;
        let point = format!("consumer.{}", self.name());
        self.store().faults().pass(&point)?;
        let count = batch.len();
        inner.applier.apply(cursor, to, batch).await?;
        let cursor = Cursor { at: to, ..cursor };
        self.cache_cursor(Some(cursor));
        inner.gap.store(false, Ordering::Relaxed);
        inner.outcome.record_success(self.store().clock().now());
        self.count("berth_consumed_events_total", count);
        Ok(cursor)
    }

    /// Applies the events that follow a cursor, a contiguous batch, as part of a transaction. Returns the new cursor.
    pub async fn apply_in(
        &self,
        unit: &mut UnitOfWork<'_>,
        from: Cursor,
        batch: &[Recorded],
    ) -> Result<Cursor, ConsumeError> {
        let at = follow(from.at, batch).ok_or(ConsumeError::OtherHistory)?;
        self.0.applier.apply_in(unit, from, at, batch).await?;
        Ok(Cursor { at, ..from })
    }

    /// Retries the dead letters that are due, the first of each aggregate. Returns whether any succeeded.
    pub async fn retry(&self) -> Result<bool, ConsumeError> {
        self.0.applier.dead_letters.retry().await
    }

    /// Records why a step failed.
    pub(crate) fn record_failure(&self, why: &dyn fmt::Display) {
        self.0
            .outcome
            .record_failure(self.store().clock().now(), why);
    }

    /// Describes the consumer for inspection, with its cursor if that could be read.
    pub(crate) fn inspect(&self, cursor: Option<Position>) -> inspection::Consumer {
        let inner = &self.0;
        let mark = inner.high_water_mark.load(Ordering::Relaxed);
        let failure = inner.outcome.failure();
        inspection::Consumer {
            consumer: self.name().to_string(),
            producer: self.producer().to_string(),
            cursor: cursor.map(|cursor| cursor.seq),
            digest: cursor.map_or_else(Bytes::new, |cursor| {
                cursor.digest.as_bytes().to_vec().into()
            }),
            high_water_mark: mark,
            lag: cursor.map_or(0, |cursor| mark.saturating_sub(cursor.seq).max(0)),
            last_move_time: inner.outcome.success().map(to_proto),
            last_error_time: failure.as_ref().map(|(at, _)| to_proto(*at)),
            last_error: failure.map(|(_, why)| why).unwrap_or_default(),
            gap: inner.gap.load(Ordering::Relaxed),
        }
    }

    fn count(&self, counter: &'static str, events: usize) {
        let labels = [
            ("consumer", self.name().to_string()),
            ("producer", self.producer().to_string()),
        ];
        metrics::counter!(counter, &labels).increment(u64::try_from(events).unwrap_or(0));
    }
}

/// The position after a batch; none if an event has another history than the position before.
fn follow(from: Position, batch: &[Recorded]) -> Option<Position> {
    batch.iter().try_fold(from, Position::follow)
}

/// The events that follow the cursor without a gap, in order and without repeats.
fn contiguous_after(cursor: i64, mut events: Vec<Recorded>) -> Vec<Recorded> {
    events.sort_by_key(|event| event.seq);
    let mut next = cursor + 1;
    events.retain(|event| {
        let follows = event.seq == next;
        next += i64::from(follows);
        follows
    });
    events
}

/// The events of a batch up to the first gap. Events after it must not be applied: the cursor would skip the missing ones
/// forever.
fn until_gap(mut batch: Vec<Recorded>) -> Vec<Recorded> {
    let first = batch.first().map_or(0, |first| first.seq);
    let numbers = batch.iter().zip(first..);
    let contiguous = numbers.take_while(|(event, seq)| event.seq == *seq).count();
    batch.truncate(contiguous);
    batch
}
