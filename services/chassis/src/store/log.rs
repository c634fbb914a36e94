//! The `log` table: the events of the context, in order.

use crate::{
    args,
    domain::{
        digest::LogDigest,
        event::{Cause, Recorded},
        position::Position,
    },
    store::{
        connection::Conn,
        error::StoreError,
        row::{Row, Value},
    },
};

/// The columns of an event after its sequence number, as [`recorded`] reads and [`values`] writes them.
pub(crate) const EVENT_COLUMNS: &str = "id, type, aggregate, version, at, payload, headers";

/// The values of [`EVENT_COLUMNS`].
pub(crate) fn values(event: &Recorded) -> Result<Vec<Value>, StoreError> {
    Ok(args![
        &*event.id,
        &*event.event_type,
        &*event.subject,
        event.version,
        event.at,
        &*event.data,
        headers(&event.cause)?
    ])
}

/// The event in a row that begins with sequence number and [`EVENT_COLUMNS`], without its digest.
pub(crate) fn recorded(row: &Row, producer: &str) -> Result<Recorded, StoreError> {
    Ok(Recorded {
        producer: producer.to_owned(),
        seq: row.int(0)?,
        digest: LogDigest::default(),
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

pub(crate) fn headers(cause: &Cause) -> Result<String, StoreError> {
    serde_json::to_string(cause).map_err(|error| StoreError::Bug(error.to_string()))
}

/// Inserts an event with the sequence number and digest that it has.
pub(crate) async fn insert(conn: &mut dyn Conn, event: &Recorded) -> Result<(), StoreError> {
    let sql = "INSERT INTO log (seq, digest, id, type, aggregate, version, at, payload, headers)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let mut row = args![event.seq, event.digest];
    row.extend(values(event)?);
    conn.execute(sql, row).await?;
    Ok(())
}

/// Events after a sequence number.
pub(crate) async fn page(
    conn: &mut dyn Conn,
    producer: &str,
    after: i64,
    limit: i64,
) -> Result<Vec<Recorded>, StoreError> {
    let sql = format!(
        "SELECT seq, {EVENT_COLUMNS}, digest FROM log WHERE seq > $1 ORDER BY seq LIMIT $2"
    );
    let rows = conn.query(&sql, args![after, limit]).await?;
    rows.iter().map(|row| with_digest(row, producer)).collect()
}

/// The event in a row that has its digest as the last column.
fn with_digest(row: &Row, producer: &str) -> Result<Recorded, StoreError> {
    Ok(Recorded {
        digest: row.digest(8)?,
        ..recorded(row, producer)?
    })
}

/// All events of an aggregate, numbered or not. `order` is the column that orders events of the same version.
pub(crate) async fn of_aggregate(
    conn: &mut dyn Conn,
    producer: &str,
    aggregate: &str,
    order: &str,
) -> Result<Vec<Recorded>, StoreError> {
    let sql = format!(
        "SELECT COALESCE(seq, 0), {EVENT_COLUMNS}, digest FROM log WHERE aggregate = $1 ORDER BY version, {order}"
    );
    let rows = conn.query(&sql, args![aggregate]).await?;
    rows.iter().map(|row| with_digest(row, producer)).collect()
}

/// Removes the events after a sequence number and returns them.
pub(crate) async fn take_after(
    conn: &mut dyn Conn,
    producer: &str,
    after: i64,
) -> Result<Vec<Recorded>, StoreError> {
    let events = page(conn, producer, after, i64::MAX).await?;
    conn.execute("DELETE FROM log WHERE seq > $1", args![after])
        .await?;
    Ok(events)
}

/// The high-water mark: the position of the last event.
pub(crate) async fn high_water_mark(conn: &mut dyn Conn) -> Result<Position, StoreError> {
    Ok(ends(conn, [0, 0]).await?.0)
}

/// The high-water mark, and the digests at two other positions.
pub(crate) async fn ends(
    conn: &mut dyn Conn,
    at: [i64; 2],
) -> Result<(Position, [Option<LogDigest>; 2]), StoreError> {
    let sql = "SELECT (SELECT COALESCE(MAX(epoch), 1) FROM recovery), (SELECT MAX(seq) FROM log),
                   (SELECT digest FROM log WHERE seq IS NOT NULL ORDER BY seq DESC LIMIT 1),
                   (SELECT digest FROM log WHERE seq = $1), (SELECT digest FROM log WHERE seq = $2)";
    let [first, second] = at;
    let rows = conn.query(sql, args![first, second]).await?;
    let Some(row) = rows.first() else {
        return Ok((Position::START, [None; 2]));
    };
    let mark = Position {
        epoch: row.int(0)?,
        seq: row.opt_int(1)?.unwrap_or(0),
        digest: row.digest(2)?,
    };
    Ok((mark, [row.opt_digest(3)?, row.opt_digest(4)?]))
}

/// Whether some events were lost for good: a recovery has put placeholders without an aggregate in their positions.
pub(crate) async fn has_losses(conn: &mut dyn Conn) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM log WHERE aggregate = '' LIMIT 1";
    Ok(!conn.query(sql, args![]).await?.is_empty())
}
