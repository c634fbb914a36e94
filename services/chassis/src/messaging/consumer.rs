//! A consumer: a cursor over a producer's log. The cursor moves in the same transaction as the effect, so every event has
//! its effect exactly once and in order. What the bus loses is read from the log.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use berth::inspection::v1 as inspection;

use crate::{
    base::{last_outcome::LastOutcome, time::to_proto},
    domain::{event::Recorded, log_id::LogId},
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
/// The cached cursor before the first step and after a failure.
const UNKNOWN: i64 = -1;

/// A consumer of one producer's log. Clones are the same consumer.
#[derive(Clone, Debug)]
pub struct Consumer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    applier: Arc<Applier>,
    log: Arc<dyn LogReader>,
    /// The cursor after the last step, so that it need not be read from the store; or [`UNKNOWN`].
    cached_cursor: AtomicI64,
    /// The highest sequence number received.
    high_water_mark: AtomicI64,
    /// Whether the log lacks the next event.
    gap: AtomicBool,
    /// When events were last applied, and why the last step failed if it did.
    outcome: LastOutcome,
}

impl Consumer {
    pub(crate) fn new(
        name: String,
        producer: LogId,
        store: Store,
        log: Arc<dyn LogReader>,
        reactions: Reactions,
    ) -> Self {
        Self(Arc::new(Inner {
            applier: Arc::new(Applier::new(name, producer, store, reactions)),
            log,
            cached_cursor: AtomicI64::new(UNKNOWN),
            high_water_mark: AtomicI64::new(0),
            gap: AtomicBool::new(false),
            outcome: LastOutcome::default(),
        }))
    }

    /// A consumer that writes views under another name than the live one, for a rebuild.
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
        &self.0.applier.consumer
    }

    /// The log that it reads.
    pub fn producer(&self) -> &LogId {
        &self.0.applier.producer
    }

    /// The sequence number of the last event applied, as stored.
    pub async fn cursor(&self) -> Result<i64, StoreError> {
        let (name, producer) = (self.name().to_owned(), self.producer().clone());
        self.store().cursor(name, producer).await
    }

    fn store(&self) -> &Store {
        &self.0.applier.store
    }

    async fn cached_cursor(&self) -> Result<i64, StoreError> {
        match self.0.cached_cursor.load(Ordering::SeqCst) {
            UNKNOWN => self.cursor().await,
            cursor => Ok(cursor),
        }
    }

    fn invalidate_cursor(&self) {
        self.0.cached_cursor.store(UNKNOWN, Ordering::SeqCst);
    }

    /// The work that is left now, if any.
    pub(crate) async fn busy(&self) -> Result<Option<String>, StoreError> {
        let (name, producer) = (self.name(), self.producer());
        let cursor = self.cursor().await?;
        match self.0.log.head().await {
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

    /// Reports the cursor to the producer, whose log may have lost events. Returns the last sequence number of that log.
    pub async fn report_cursor(&self) -> Result<i64, ConsumeError> {
        let inner = &self.0;
        // The consumer's own store may have lost commits, too.
        self.invalidate_cursor();
        let cursor = self.cursor().await?;
        let head = inner.log.report_cursor(cursor, self.name()).await?;
        if head < cursor {
            tracing::error!(consumer = self.name(), producer = %self.producer(), cursor, head, "log ends before the cursor");
        }
        Ok(head)
    }

    /// Applies the events of a signal if they come next, and reads from the log up to the signal's high-water mark. Returns
    /// whether any event was applied.
    pub async fn consume(&self, signal: Signal) -> Result<bool, ConsumeError> {
        let mark = match &signal {
            Signal::HighWaterMark(mark) => *mark,
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
                self.invalidate_cursor();
                self.record_failure(error);
            }
        }
        consumed
    }

    async fn consume_from(
        &self,
        mut cursor: i64,
        mark: i64,
        signal: Signal,
    ) -> Result<bool, ConsumeError> {
        let start = cursor;
        match signal {
            // An old signal, unless the log has lost events.
            Signal::HighWaterMark(_) if mark < cursor => drop(self.report_cursor().await?),
            // While nothing happens the consumer's own store may lose commits: read the cursor at the next step.
            Signal::HighWaterMark(_) if mark == cursor => self.invalidate_cursor(),
            Signal::HighWaterMark(_) => {}
            Signal::Events(events) => {
                for batch in contiguous_after(cursor, events).chunks(BATCH) {
                    cursor = self.apply(cursor, batch.to_vec()).await?;
                }
            }
        }
        while cursor < mark {
            let batch = self.read_batch(cursor, mark).await?;
            if batch.is_empty() {
                break;
            }
            cursor = self.apply(cursor, batch).await?;
        }
        Ok(cursor > start)
    }

    /// Reads the next events from the log, up to the first gap.
    async fn read_batch(&self, cursor: i64, mark: i64) -> Result<Vec<Recorded>, ConsumeError> {
        let inner = &self.0;
        let limit = i64::try_from(BATCH).unwrap_or(i64::MAX).min(mark - cursor);
        let batch = until_gap(inner.log.read(cursor, limit).await?);
        match batch.first() {
            None => {
                tracing::warn!(consumer = self.name(), producer = %self.producer(), cursor, high_water_mark = mark, "log ends before its high-water mark");
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
    async fn apply(&self, cursor: i64, batch: Vec<Recorded>) -> Result<i64, ConsumeError> {
        let inner = &self.0;
        let Some(last) = batch.last().map(|last| last.seq) else {
            return Ok(cursor);
        };
        let point = format!("consumer.{}", self.name());
        self.store().faults().pass(&point)?;
        let count = batch.len();
        inner.applier.apply(cursor, last, batch).await?;
        inner.cached_cursor.store(last, Ordering::SeqCst);
        inner.gap.store(false, Ordering::Relaxed);
        inner.outcome.record_success(self.store().clock().now());
        self.count("berth_consumed_events_total", count);
        Ok(last)
    }

    /// Applies the events after `from` up to `to`, a contiguous batch, as part of a transaction.
    pub async fn apply_in(
        &self,
        unit: &mut UnitOfWork<'_>,
        from: i64,
        to: i64,
        batch: &[Recorded],
    ) -> Result<(), ConsumeError> {
        self.0.applier.apply_in(unit, from, to, batch).await
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
    pub(crate) fn inspect(&self, cursor: Option<i64>) -> inspection::Consumer {
        let inner = &self.0;
        let mark = inner.high_water_mark.load(Ordering::Relaxed);
        let failure = inner.outcome.failure();
        inspection::Consumer {
            consumer: self.name().to_owned(),
            producer: self.producer().to_string(),
            cursor,
            heard_head: mark,
            lag: cursor.map_or(0, |cursor| mark.saturating_sub(cursor).max(0)),
            last_move_time: inner.outcome.success().map(to_proto),
            last_error_time: failure.as_ref().map(|(at, _)| to_proto(*at)),
            last_error: failure.map(|(_, why)| why).unwrap_or_default(),
            gap: inner.gap.load(Ordering::Relaxed),
        }
    }

    fn count(&self, counter: &'static str, events: usize) {
        let labels = [
            ("consumer", self.name().to_owned()),
            ("producer", self.producer().to_string()),
        ];
        metrics::counter!(counter, &labels).increment(u64::try_from(events).unwrap_or(0));
    }
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
