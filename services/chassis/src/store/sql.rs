//! The statements of the tables that every context has.

use crate::store::{
    StoreError,
    connection::{Conn, Row},
    work::{Batch, Found, Step},
};
use crate::{
    args,
    base::time::Timestamp,
    domain::{
        aggregate::ClaimRange,
        event::{Cause, Recorded},
    },
};

pub(crate) type Result<T> = std::result::Result<T, StoreError>;

pub(crate) async fn aggregate(conn: &mut dyn Conn, kind: &str, id: &str) -> Result<Option<Row>> {
    let sql =
        "SELECT state, version, created_at, updated_at FROM aggregate WHERE kind = $1 AND id = $2";
    Ok(conn.query(sql, args![kind, id]).await?.pop())
}

/// The row of an aggregate; if there is none, what is found where a command wants to look.
pub(crate) async fn find(
    conn: &mut dyn Conn,
    kind: &str,
    id: &str,
    looks: &[ClaimRange],
) -> Result<Found> {
    let row = aggregate(conn, kind, id).await?;
    let taken = match &row {
        Some(_) => None,
        None => Some(taken_of(conn, looks, "").await?),
    };
    Ok(Found { row, taken })
}

pub(crate) async fn taken_of(
    conn: &mut dyn Conn,
    looks: &[ClaimRange],
    owner: &str,
) -> Result<Vec<Vec<String>>> {
    let mut found = Vec::with_capacity(looks.len());
    for look in looks {
        found.push(taken(conn, look, owner).await?);
    }
    Ok(found)
}

/// Saves a step, a statement after the other.
pub(crate) async fn save(conn: &mut dyn Conn, step: Step) -> Result<()> {
    let owner = step.owner();
    let Step {
        released,
        claimed,
        told,
        ..
    } = &step;
    if !put_aggregate(conn, &step).await? {
        return Err(StoreError::Contended);
    }
    for (scope, key) in released {
        release(conn, scope, key, &owner).await?;
    }
    for (scope, key) in claimed {
        if !claim(conn, scope, key, &owner).await? {
            return Err(StoreError::Contended);
        }
    }
    for event in told {
        append(conn, event).await?;
    }
    Ok(())
}

/// Writes a state over the version it was decided on. False if somebody else was faster.
async fn put_aggregate(conn: &mut dyn Conn, step: &Step) -> Result<bool> {
    let (kind, id, state) = (step.kind, &*step.id, &*step.state);
    let changed = if step.from == 0 {
        let sql = "INSERT INTO aggregate (kind, id, version, state, due_at, created_at, updated_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT DO NOTHING";
        conn.execute(sql, args![kind, id, step.version, state, step.due, step.at])
            .await?
    } else {
        let sql = "UPDATE aggregate SET version = $3, state = $4, due_at = $5, updated_at = $6
                   WHERE kind = $1 AND id = $2 AND version = $7";
        let args = args![kind, id, step.version, state, step.due, step.at, step.from];
        conn.execute(sql, args).await?
    };
    Ok(changed == 1)
}

/// Moves a cursor from where it must be and answers the aggregates with dead letters; none if it is elsewhere.
pub(crate) async fn advance(conn: &mut dyn Conn, batch: Batch<'_>) -> Result<Option<Vec<String>>> {
    let key = (batch.consumer, batch.producer);
    if !move_cursor(conn, key, batch.from, batch.to).await? {
        return Ok(None);
    }
    blocked(conn, batch.consumer, batch.producer)
        .await
        .map(Some)
}

pub(crate) async fn aggregates_of(
    conn: &mut dyn Conn,
    kind: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<Row>> {
    let sql = "SELECT id, state, version, created_at, updated_at FROM aggregate
               WHERE kind = $1 AND id > $2 ORDER BY id LIMIT $3";
    conn.query(sql, args![kind, after, limit]).await
}

/// Kinds and ids of what is due, longest overdue first.
pub(crate) async fn due(
    conn: &mut dyn Conn,
    at: Timestamp,
    limit: i64,
) -> Result<Vec<(String, String)>> {
    let sql = "SELECT kind, id FROM aggregate WHERE due_at IS NOT NULL AND due_at <= $1 ORDER BY due_at LIMIT $2";
    let rows = conn.query(sql, args![at, limit]).await?;
    rows.iter()
        .map(|row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned())))
        .collect()
}

/// Keys of a scope that somebody other than `owner` holds.
pub(crate) async fn taken(
    conn: &mut dyn Conn,
    look: &ClaimRange,
    owner: &str,
) -> Result<Vec<String>> {
    let sql = "SELECT key FROM claim WHERE scope = $1 AND key >= $2 AND key < $3 AND owner <> $4";
    let rows = conn
        .query(sql, args![&*look.scope, &*look.from, &*look.to, owner])
        .await?;
    rows.iter()
        .map(|row| row.text(0).map(str::to_owned))
        .collect()
}

/// Who holds a claim.
pub(crate) async fn holder(conn: &mut dyn Conn, scope: &str, key: &str) -> Result<Option<Row>> {
    let sql = "SELECT owner FROM claim WHERE scope = $1 AND key = $2";
    Ok(conn.query(sql, args![scope, key]).await?.pop())
}

/// All claims, for checks.
pub(crate) async fn claims(conn: &mut dyn Conn) -> Result<Vec<Row>> {
    conn.query(
        "SELECT scope, key, owner FROM claim ORDER BY scope, key",
        args![],
    )
    .await
}

/// False if somebody else holds it.
async fn claim(conn: &mut dyn Conn, scope: &str, key: &str, owner: &str) -> Result<bool> {
    let sql = "INSERT INTO claim (scope, key, owner) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    Ok(conn.execute(sql, args![scope, key, owner]).await? == 1)
}

async fn release(conn: &mut dyn Conn, scope: &str, key: &str, owner: &str) -> Result<()> {
    let sql = "DELETE FROM claim WHERE scope = $1 AND key = $2 AND owner = $3";
    conn.execute(sql, args![scope, key, owner])
        .await
        .map(|_| ())
}

/// Appends an event; its sequence number is the next of the log.
async fn append(conn: &mut dyn Conn, event: &Recorded) -> Result<()> {
    let sql = "INSERT INTO log (seq, id, type, aggregate, version, at, payload, headers)
               SELECT COALESCE(MAX(seq), 0) + 1, $1, $2, $3, $4, $5, $6, $7 FROM log";
    let values = args![
        &*event.id,
        &*event.event_type,
        &*event.subject,
        event.version,
        event.at,
        &*event.data,
        headers(&event.cause)?
    ];
    conn.execute(sql, values).await.map(|_| ())
}

/// Puts an event where it was.
pub(crate) async fn append_again(conn: &mut dyn Conn, event: &Recorded) -> Result<()> {
    let sql = "INSERT INTO log (seq, id, type, aggregate, version, at, payload, headers)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let values = args![
        event.seq,
        &*event.id,
        &*event.event_type,
        &*event.subject,
        event.version,
        event.at,
        &*event.data,
        headers(&event.cause)?
    ];
    conn.execute(sql, values).await.map(|_| ())
}

const LOG_COLUMNS: &str = "COALESCE(seq, 0), id, type, aggregate, version, at, payload, headers";

pub(crate) async fn log_after(
    conn: &mut dyn Conn,
    producer: &str,
    after: i64,
    limit: i64,
) -> Result<Vec<Recorded>> {
    let sql = format!("SELECT {LOG_COLUMNS} FROM log WHERE seq > $1 ORDER BY seq LIMIT $2");
    let rows = conn.query(&sql, args![after, limit]).await?;
    rows.iter().map(|row| recorded(row, producer)).collect()
}

pub(crate) async fn log_of(
    conn: &mut dyn Conn,
    producer: &str,
    aggregate: &str,
    place: &str,
) -> Result<Vec<Recorded>> {
    let sql =
        format!("SELECT {LOG_COLUMNS} FROM log WHERE aggregate = $1 ORDER BY version, {place}");
    let rows = conn.query(&sql, args![aggregate]).await?;
    rows.iter().map(|row| recorded(row, producer)).collect()
}

pub(crate) async fn head(conn: &mut dyn Conn) -> Result<i64> {
    let rows = conn
        .query("SELECT COALESCE(MAX(seq), 0) FROM log", args![])
        .await?;
    rows.first().map_or(Ok(0), |row| row.int(0))
}

fn recorded(row: &Row, producer: &str) -> Result<Recorded> {
    Ok(Recorded {
        producer: producer.to_owned(),
        seq: row.int(0)?,
        id: row.text(1)?.to_owned(),
        event_type: row.text(2)?.to_owned(),
        subject: row.text(3)?.to_owned(),
        version: row.int(4)?,
        at: row.time(5)?,
        data: row.blob(6)?.to_vec().into(),
        cause: serde_json::from_str(row.text(7)?)
            .map_err(|error| StoreError::Bug(error.to_string()))?,
    })
}

pub(crate) fn headers(cause: &Cause) -> Result<String> {
    serde_json::to_string(cause).map_err(|error| StoreError::Bug(error.to_string()))
}

pub(crate) async fn cursor(conn: &mut dyn Conn, consumer: &str, producer: &str) -> Result<i64> {
    let sql = "SELECT seq FROM cursor WHERE consumer = $1 AND producer = $2";
    let rows = conn.query(sql, args![consumer, producer]).await?;
    rows.first().map_or(Ok(0), |row| row.int(0))
}

/// Moves a cursor from where it must be; false if it is elsewhere: another replica has moved it.
pub(crate) async fn move_cursor(
    conn: &mut dyn Conn,
    (consumer, producer): (&str, &str),
    from: i64,
    to: i64,
) -> Result<bool> {
    let moved = if from == 0 {
        let sql = "INSERT INTO cursor (consumer, producer, seq) VALUES ($1, $2, $3)
                   ON CONFLICT (consumer, producer) DO UPDATE SET seq = $3 WHERE cursor.seq = 0";
        conn.execute(sql, args![consumer, producer, to]).await?
    } else {
        let sql = "UPDATE cursor SET seq = $3 WHERE consumer = $1 AND producer = $2 AND seq = $4";
        conn.execute(sql, args![consumer, producer, to, from])
            .await?
    };
    Ok(moved == 1)
}

/// Removes a consumer's cursors and dead letters.
pub(crate) async fn forget(conn: &mut dyn Conn, consumer: &str) -> Result<()> {
    for sql in [
        "DELETE FROM cursor WHERE consumer = $1",
        "DELETE FROM dead_letter WHERE consumer = $1",
    ] {
        conn.execute(sql, args![consumer]).await?;
    }
    Ok(())
}

/// Gives a consumer's cursors and dead letters another name, which must be free.
pub(crate) async fn rename(conn: &mut dyn Conn, consumer: &str, name: &str) -> Result<()> {
    for sql in [
        "UPDATE cursor SET consumer = $2 WHERE consumer = $1",
        "UPDATE dead_letter SET consumer = $2 WHERE consumer = $1",
    ] {
        conn.execute(sql, args![consumer, name]).await?;
    }
    Ok(())
}

/// A dead letter: an event that a consumer could not take yet.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// The consumer.
    pub consumer: String,
    /// The event.
    pub event: Recorded,
    /// Why it failed last; empty if it waits behind another one.
    pub reason: String,
    /// How often it was tried.
    pub attempts: i64,
    /// Whether it waits for an operator.
    pub parked: bool,
    /// When it is tried next, unless it is parked.
    pub next_attempt: Timestamp,
}

const LETTER_COLUMNS: &str = "seq, id, type, aggregate, version, at, payload, headers,
    consumer, producer, reason, attempts, parked, next_attempt_at";

fn letter(row: &Row) -> Result<DeadLetter> {
    Ok(DeadLetter {
        event: recorded(row, row.text(9)?)?,
        consumer: row.text(8)?.to_owned(),
        reason: row.text(10)?.to_owned(),
        attempts: row.int(11)?,
        parked: row.int(12)? != 0,
        next_attempt: row.time(13)?,
    })
}

pub(crate) async fn put_letter(conn: &mut dyn Conn, letter: &DeadLetter) -> Result<()> {
    let sql = "INSERT INTO dead_letter (consumer, producer, seq, id, type, aggregate, version, at, payload, headers,
                   reason, attempts, parked, next_attempt_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
               ON CONFLICT (consumer, producer, seq) DO UPDATE
               SET reason = $11, attempts = $12, parked = $13, next_attempt_at = $14";
    let event = &letter.event;
    let values = args![
        &*letter.consumer,
        &*event.producer,
        event.seq,
        &*event.id,
        &*event.event_type,
        &*event.subject,
        event.version,
        event.at,
        &*event.data,
        headers(&event.cause)?,
        &*letter.reason,
        letter.attempts,
        letter.parked,
        letter.next_attempt
    ];
    conn.execute(sql, values).await.map(|_| ())
}

/// Aggregates of a producer that have dead letters with a consumer.
async fn blocked(conn: &mut dyn Conn, consumer: &str, producer: &str) -> Result<Vec<String>> {
    let sql = "SELECT DISTINCT aggregate FROM dead_letter WHERE consumer = $1 AND producer = $2";
    let rows = conn.query(sql, args![consumer, producer]).await?;
    rows.iter()
        .map(|row| row.text(0).map(str::to_owned))
        .collect()
}

/// The first dead letter of each aggregate that is to be tried again by now.
pub(crate) async fn letters_due(
    conn: &mut dyn Conn,
    consumer: &str,
    at: Timestamp,
) -> Result<Vec<DeadLetter>> {
    let sql = format!(
        "SELECT {LETTER_COLUMNS} FROM dead_letter d WHERE consumer = $1 AND parked = 0 AND next_attempt_at <= $2
         AND NOT EXISTS (SELECT 1 FROM dead_letter e WHERE e.consumer = d.consumer AND e.producer = d.producer
             AND e.aggregate = d.aggregate AND e.seq < d.seq)
         ORDER BY next_attempt_at, seq LIMIT 64"
    );
    conn.query(&sql, args![consumer, at])
        .await?
        .iter()
        .map(letter)
        .collect()
}

pub(crate) async fn remove_letter(conn: &mut dyn Conn, letter: &DeadLetter) -> Result<bool> {
    let sql = "DELETE FROM dead_letter WHERE consumer = $1 AND producer = $2 AND seq = $3";
    let event = &letter.event;
    Ok(conn
        .execute(sql, args![&*letter.consumer, &*event.producer, event.seq])
        .await?
        == 1)
}

/// Dead letters after a place, in the order of their places.
pub(crate) async fn letters(
    conn: &mut dyn Conn,
    after: (&str, &str, i64),
    limit: i64,
) -> Result<Vec<DeadLetter>> {
    let sql = format!(
        "SELECT {LETTER_COLUMNS} FROM dead_letter WHERE (consumer, producer, seq) > ($1, $2, $3)
         ORDER BY consumer, producer, seq LIMIT $4"
    );
    conn.query(&sql, args![after.0, after.1, after.2, limit])
        .await?
        .iter()
        .map(letter)
        .collect()
}

/// Makes dead letters due: of one aggregate, or all. Answers how many.
pub(crate) async fn redrive(conn: &mut dyn Conn, aggregate: &str, at: Timestamp) -> Result<u64> {
    let sql = "UPDATE dead_letter SET parked = 0, attempts = 0, next_attempt_at = $2 WHERE $1 = '' OR aggregate = $1";
    conn.execute(sql, args![aggregate, at]).await
}

pub(crate) async fn migrated(conn: &mut dyn Conn, name: &str) -> Result<bool> {
    Ok(!conn
        .query("SELECT name FROM migration WHERE name = $1", args![name])
        .await?
        .is_empty())
}

/// Notes when the store was last tried, among the migrations: it is the one table that is hardly ever written to.
pub(crate) async fn note_probe(conn: &mut dyn Conn, at: Timestamp) -> Result<()> {
    let sql = "INSERT INTO migration (name, applied_at) VALUES (':probe', $1)
        ON CONFLICT (name) DO UPDATE SET applied_at = excluded.applied_at";
    conn.execute(sql, args![at]).await.map(|_| ())
}

pub(crate) async fn note_migration(conn: &mut dyn Conn, name: &str, at: Timestamp) -> Result<()> {
    conn.execute(
        "INSERT INTO migration (name, applied_at) VALUES ($1, $2)",
        args![name, at],
    )
    .await
    .map(|_| ())
}
