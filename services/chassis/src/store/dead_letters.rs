//! The `dead_letter` table: events that a consumer could not apply yet.

use crate::{
    args,
    base::time::Timestamp,
    domain::{consumer_name::ConsumerName, event::Recorded, log_id::LogId},
    store::{connection::Conn, error::StoreError, log, row::Row},
};

/// An event that a consumer could not apply yet.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// The consumer.
    pub consumer: ConsumerName,
    /// The event.
    pub event: Recorded,
    /// Why the last attempt failed; empty if the event waits behind another one of its aggregate.
    pub reason: String,
    /// How many attempts were made.
    pub attempts: i64,
    /// Whether it is not retried until an operator asks for it.
    pub parked: bool,
    /// When it is retried, unless it is parked.
    pub next_attempt: Timestamp,
}

const COLUMNS: &str = "seq, id, type, aggregate, version, at, payload, headers,
    consumer, producer, reason, attempts, parked, next_attempt_at";

fn dead_letter(row: &Row) -> Result<DeadLetter, StoreError> {
    Ok(DeadLetter {
        event: log::recorded(row, row.text(9)?)?,
        consumer: row.text(8)?.into(),
        reason: row.text(10)?.to_owned(),
        attempts: row.int(11)?,
        parked: row.int(12)? != 0,
        next_attempt: row.time(13)?,
    })
}

/// Inserts a dead letter, or replaces its attempts.
pub(crate) async fn put(conn: &mut dyn Conn, letter: &DeadLetter) -> Result<(), StoreError> {
    let sql = "INSERT INTO dead_letter (consumer, producer, reason, attempts, parked, next_attempt_at, seq,
                   id, type, aggregate, version, at, payload, headers)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
               ON CONFLICT (consumer, producer, seq) DO UPDATE
               SET reason = $3, attempts = $4, parked = $5, next_attempt_at = $6";
    let event = &letter.event;
    let mut values = args![
        &letter.consumer,
        &*event.producer,
        &*letter.reason,
        letter.attempts,
        letter.parked,
        letter.next_attempt,
        event.seq
    ];
    values.extend(log::values(event)?);
    conn.execute(sql, values).await?;
    Ok(())
}

/// Removes a dead letter. False if another transaction has removed, retried or parked it.
pub(crate) async fn remove(conn: &mut dyn Conn, letter: &DeadLetter) -> Result<bool, StoreError> {
    let sql = "DELETE FROM dead_letter WHERE consumer = $1 AND producer = $2 AND seq = $3
               AND attempts = $4 AND parked = 0";
    let values = args![
        &letter.consumer,
        &*letter.event.producer,
        letter.event.seq,
        letter.attempts
    ];
    Ok(conn.execute(sql, values).await? == 1)
}

/// Writes the outcome of one more attempt. False if another transaction has removed, retried or parked the dead letter.
pub(crate) async fn update(conn: &mut dyn Conn, letter: &DeadLetter) -> Result<bool, StoreError> {
    let sql =
        "UPDATE dead_letter SET reason = $5, attempts = $4 + 1, parked = $6, next_attempt_at = $7
               WHERE consumer = $1 AND producer = $2 AND seq = $3 AND attempts = $4 AND parked = 0";
    let values = args![
        &letter.consumer,
        &*letter.event.producer,
        letter.event.seq,
        letter.attempts - 1,
        &*letter.reason,
        letter.parked,
        letter.next_attempt
    ];
    Ok(conn.execute(sql, values).await? == 1)
}

/// Those of some aggregates of a producer that have dead letters with a consumer.
pub(crate) async fn blocked(
    conn: &mut dyn Conn,
    (consumer, producer): (&ConsumerName, &LogId),
    aggregates: &[&str],
) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT 1 FROM dead_letter WHERE consumer = $1 AND producer = $2 AND aggregate = $3 LIMIT 1";
    let mut blocked = Vec::new();
    for aggregate in aggregates {
        let found = conn.query(sql, args![consumer, producer, *aggregate]);
        if !found.await?.is_empty() {
            blocked.push((*aggregate).to_owned());
        }
    }
    Ok(blocked)
}

/// The first dead letter of each aggregate of a producer, if its next attempt is due.
pub(crate) async fn due(
    conn: &mut dyn Conn,
    (consumer, producer): (&ConsumerName, &LogId),
    at: Timestamp,
) -> Result<Vec<DeadLetter>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM dead_letter d
         WHERE consumer = $1 AND producer = $2 AND parked = 0 AND next_attempt_at <= $3
         AND NOT EXISTS (SELECT 1 FROM dead_letter e WHERE e.consumer = d.consumer AND e.producer = d.producer
             AND e.aggregate = d.aggregate AND e.seq < d.seq)
         ORDER BY next_attempt_at, seq LIMIT 64"
    );
    let rows = conn.query(&sql, args![consumer, producer, at]).await?;
    rows.iter().map(dead_letter).collect()
}

/// Dead letters after a consumer, producer and sequence number, in this order.
pub(crate) async fn page(
    conn: &mut dyn Conn,
    (consumer, producer, seq): (&str, &str, i64),
    limit: i64,
) -> Result<Vec<DeadLetter>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM dead_letter WHERE (consumer, producer, seq) > ($1, $2, $3)
         ORDER BY consumer, producer, seq LIMIT $4"
    );
    let values = args![consumer, producer, seq, limit];
    let rows = conn.query(&sql, values).await?;
    rows.iter().map(dead_letter).collect()
}

/// Makes the dead letters of one aggregate due, or all if it is empty. Returns how many.
pub(crate) async fn redrive(
    conn: &mut dyn Conn,
    aggregate: &str,
    at: Timestamp,
) -> Result<u64, StoreError> {
    let sql = "UPDATE dead_letter SET parked = 0, attempts = 0, next_attempt_at = $2 WHERE $1 = '' OR aggregate = $1";
    conn.execute(sql, args![aggregate, at]).await
}
