//! The `log` table: the events of the context, in order.

use crate::{
    args,
    domain::event::{Cause, Recorded},
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

/// The event in a row that begins with sequence number and [`EVENT_COLUMNS`].
pub(crate) fn recorded(row: &Row, producer: &str) -> Result<Recorded, StoreError> {
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

pub(crate) fn headers(cause: &Cause) -> Result<String, StoreError> {
    serde_json::to_string(cause).map_err(|error| StoreError::Bug(error.to_string()))
}

/// Appends an event with the next sequence number.
pub(crate) async fn append(conn: &mut dyn Conn, event: &Recorded) -> Result<(), StoreError> {
    let sql = "INSERT INTO log (seq, id, type, aggregate, version, at, payload, headers)
               SELECT COALESCE(MAX(seq), 0) + 1, $1, $2, $3, $4, $5, $6, $7 FROM log";
    conn.execute(sql, values(event)?).await?;
    Ok(())
}

/// Inserts an event with the sequence number that it has.
pub(crate) async fn insert(conn: &mut dyn Conn, event: &Recorded) -> Result<(), StoreError> {
    let sql = "INSERT INTO log (seq, id, type, aggregate, version, at, payload, headers)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let mut row = args![event.seq];
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
    let sql = format!("SELECT seq, {EVENT_COLUMNS} FROM log WHERE seq > $1 ORDER BY seq LIMIT $2");
    let rows = conn.query(&sql, args![after, limit]).await?;
    rows.iter().map(|row| recorded(row, producer)).collect()
}

/// All events of an aggregate, numbered or not. `order` is the column that orders events of the same version.
pub(crate) async fn of_aggregate(
    conn: &mut dyn Conn,
    producer: &str,
    aggregate: &str,
    order: &str,
) -> Result<Vec<Recorded>, StoreError> {
    let sql = format!(
        "SELECT COALESCE(seq, 0), {EVENT_COLUMNS} FROM log WHERE aggregate = $1 ORDER BY version, {order}"
    );
    let rows = conn.query(&sql, args![aggregate]).await?;
    rows.iter().map(|row| recorded(row, producer)).collect()
}

/// The high-water mark: the last sequence number; 0 if there is none.
pub(crate) async fn high_water_mark(conn: &mut dyn Conn) -> Result<i64, StoreError> {
    let sql = "SELECT COALESCE(MAX(seq), 0) FROM log";
    let rows = conn.query(sql, args![]).await?;
    rows.first().map_or(Ok(0), |row| row.int(0))
}

/// Whether some events were lost for good: a recovery has put placeholders without an aggregate in their positions.
pub(crate) async fn has_losses(conn: &mut dyn Conn) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM log WHERE aggregate = '' LIMIT 1";
    Ok(!conn.query(sql, args![]).await?.is_empty())
}
