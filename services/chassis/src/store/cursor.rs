//! The `cursor` table: how far each consumer has applied each producer's log.

use crate::{
    args,
    store::{connection::Conn, dead_letters, error::StoreError, transaction::Batch},
};

pub(crate) async fn position(
    conn: &mut dyn Conn,
    consumer: &str,
    producer: &str,
) -> Result<i64, StoreError> {
    let sql = "SELECT seq FROM cursor WHERE consumer = $1 AND producer = $2";
    let rows = conn.query(sql, args![consumer, producer]).await?;
    rows.first().map_or(Ok(0), |row| row.int(0))
}

/// Moves a cursor. False if it is not at `from`: another replica has moved it.
pub(crate) async fn advance(
    conn: &mut dyn Conn,
    (consumer, producer): (&str, &str),
    from: i64,
    to: i64,
) -> Result<bool, StoreError> {
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

/// Moves a consumer's cursor and returns which aggregates of the batch have dead letters; none if the cursor is not at
/// `batch.from`.
pub(crate) async fn begin_batch(
    conn: &mut dyn Conn,
    batch: Batch<'_>,
) -> Result<Option<Vec<String>>, StoreError> {
    let key = (batch.consumer, batch.producer);
    if !advance(conn, key, batch.from, batch.to).await? {
        return Ok(None);
    }
    let blocked = dead_letters::blocked(conn, key, batch.subjects).await?;
    Ok(Some(blocked))
}

/// Removes a consumer's cursors and dead letters.
pub(crate) async fn remove_consumer(conn: &mut dyn Conn, consumer: &str) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM cursor WHERE consumer = $1",
        "DELETE FROM dead_letter WHERE consumer = $1",
    ] {
        conn.execute(sql, args![consumer]).await?;
    }
    Ok(())
}

/// Renames a consumer. The new name must not be in use.
pub(crate) async fn rename_consumer(
    conn: &mut dyn Conn,
    consumer: &str,
    name: &str,
) -> Result<(), StoreError> {
    for sql in [
        "UPDATE cursor SET consumer = $2 WHERE consumer = $1",
        "UPDATE dead_letter SET consumer = $2 WHERE consumer = $1",
    ] {
        conn.execute(sql, args![consumer, name]).await?;
    }
    Ok(())
}
