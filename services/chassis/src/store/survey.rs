//! A summary of what a store holds, for operators. Counts are limited so that it stays cheap.

use crate::{
    args,
    base::time::{Timestamp, from_micros},
    domain::{consumer_name::ConsumerName, log_id::LogId, position::Position},
    store::{connection::Conn, error::StoreError, log, store::Store},
};

/// The most rows that are counted.
const COUNTED: i64 = 10_000;
/// How many sequence numbers are checked for gaps.
const RECENT: i64 = 1_000;

/// What a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    /// The log.
    pub(crate) log: Extent,
    /// Cursors: consumer, producer, position.
    pub(crate) cursors: Vec<(ConsumerName, LogId, Position)>,
    /// Dead letters by consumer and producer.
    pub(crate) letters: Vec<Letters>,
    /// How many aggregates are due.
    pub(crate) due: i64,
    /// When the first of them became due.
    pub(crate) due_since: Option<Timestamp>,
}

/// The extent of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The position of the last event.
    pub(crate) head: Position,
    /// How many of the last sequence numbers have no event.
    pub(crate) missing: i64,
}

/// Dead letters of a consumer from a producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letters {
    pub(crate) consumer: ConsumerName,
    pub(crate) producer: LogId,
    pub(crate) waiting: i64,
    pub(crate) parked: i64,
    /// The time of the oldest event among them.
    pub(crate) oldest: Timestamp,
}

impl Store {
    /// Every cursor: consumer, producer, position.
    pub async fn cursors(&self) -> Result<Vec<(ConsumerName, LogId, Position)>, StoreError> {
        Ok(self.survey().await?.cursors)
    }

    /// The summary.
    pub(crate) async fn survey(&self) -> Result<Survey, StoreError> {
        let now = self.clock().now();
        self.read(move |conn| Box::pin(survey(conn, now))).await
    }
}

async fn survey(conn: &mut dyn Conn, now: Timestamp) -> Result<Survey, StoreError> {
    let mut survey = Survey {
        log: extent(conn).await?,
        ..Survey::default()
    };
    let sql = "SELECT consumer, producer, epoch, seq, digest FROM cursor";
    for row in conn.query(sql, args![]).await? {
        survey.cursors.push((
            row.text(0)?.into(),
            LogId::of(row.text(1)?),
            Position {
                epoch: row.int(2)?,
                seq: row.int(3)?,
                digest: row.digest(4)?,
            },
        ));
    }
    survey.letters = letters(conn).await?;
    let sql = "SELECT COUNT(*), MIN(due_at) FROM (
                   SELECT due_at FROM (
                       SELECT due_at FROM aggregate WHERE due_at IS NOT NULL AND retry_at IS NULL AND due_at <= $1
                       ORDER BY due_at LIMIT $2) AS new
                   UNION ALL SELECT due_at FROM (
                       SELECT due_at FROM aggregate WHERE retry_at IS NOT NULL LIMIT $2) AS retried) AS due";
    if let Some(row) = conn.query(sql, args![now, COUNTED]).await?.first() {
        survey.due = row.int(0)?;
        survey.due_since = row.opt_int(1)?.map(from_micros);
    }
    Ok(survey)
}

async fn extent(conn: &mut dyn Conn) -> Result<Extent, StoreError> {
    let head = log::high_water_mark(conn).await?;
    let from = (head.seq - RECENT).max(0);
    let sql = "SELECT COUNT(*) FROM log WHERE seq > $1 AND seq <= $2";
    let rows = conn.query(sql, args![from, head.seq]).await?;
    let there = rows.first().map_or(Ok(0), |row| row.int(0))?;
    Ok(Extent {
        head,
        missing: head.seq - from - there,
    })
}

async fn letters(conn: &mut dyn Conn) -> Result<Vec<Letters>, StoreError> {
    let sql = "SELECT consumer, producer, parked, COUNT(*), MIN(at) FROM (
                   SELECT consumer, producer, parked, at FROM dead_letter LIMIT $1) AS counted
               GROUP BY consumer, producer, parked ORDER BY consumer, producer, parked";
    let mut letters: Vec<Letters> = Vec::new();
    for row in conn.query(sql, args![COUNTED]).await? {
        let (consumer, producer) = (row.text(0)?.into(), LogId::of(row.text(1)?));
        let (parked, count, oldest) = (row.int(2)? != 0, row.int(3)?, row.time(4)?);
        let (waiting, parked) = if parked { (0, count) } else { (count, 0) };
        match letters.last_mut() {
            Some(last) if last.consumer == consumer && last.producer == producer => {
                last.waiting += waiting;
                last.parked += parked;
                last.oldest = last.oldest.min(oldest);
            }
            _ => letters.push(Letters {
                consumer,
                producer,
                waiting,
                parked,
                oldest,
            }),
        }
    }
    Ok(letters)
}
