//! The `cursor` table: how far each consumer has applied each producer's log.

use crate::{
    args,
    domain::{
        consumer_name::ConsumerName,
        log_id::LogId,
        position::{Cursor, Position, Skip},
    },
    store::{connection::Conn, dead_letters, error::StoreError, transaction::Batch},
};

/// The cursor of a consumer on a producer's log.
pub(crate) async fn read(
    conn: &mut dyn Conn,
    consumer: &ConsumerName,
    producer: &LogId,
) -> Result<Cursor, StoreError> {
    let sql = "SELECT epoch, seq, digest, skip_after, skip_to FROM cursor
               WHERE consumer = $1 AND producer = $2";
    let rows = conn.query(sql, args![consumer, producer]).await?;
    rows.first().map_or(Ok(Cursor::default()), |row| {
        Ok(Cursor {
            at: Position {
                epoch: row.int(0)?,
                seq: row.int(1)?,
                digest: row.digest(2)?,
            },
            skip: Skip {
                after: row.int(3)?,
                to: row.int(4)?,
            },
        })
    })
}

/// Moves a cursor. False if it is not at `from`: another replica has moved it.
pub(crate) async fn advance(
    conn: &mut dyn Conn,
    (consumer, producer): (&ConsumerName, &LogId),
    from: i64,
    to: Position,
) -> Result<bool, StoreError> {
    let mut values = args![consumer, producer, to.epoch, to.seq, to.digest];
    let sql = if from == 0 {
        "INSERT INTO cursor (consumer, producer, epoch, seq, digest) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (consumer, producer) DO UPDATE SET epoch = $3, seq = $4, digest = $5 WHERE cursor.seq = 0"
    } else {
        values.extend(args![from]);
        "UPDATE cursor SET epoch = $3, seq = $4, digest = $5 WHERE consumer = $1 AND producer = $2 AND seq = $6"
    };
    Ok(conn.execute(sql, values).await? == 1)
}

/// Sets a cursor to where it continues after a recovery. False if it is not at `from`.
pub(crate) async fn resume(
    conn: &mut dyn Conn,
    key: (&ConsumerName, &LogId),
    from: i64,
    cursor: Cursor,
) -> Result<bool, StoreError> {
    if !advance(conn, key, from, cursor.at).await? {
        return Ok(false);
    }
    let Skip { after, to } = cursor.skip;
    let sql =
        "UPDATE cursor SET skip_after = $3, skip_to = $4 WHERE consumer = $1 AND producer = $2";
    conn.execute(sql, args![key.0, key.1, after, to]).await?;
    Ok(true)
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
pub(crate) async fn remove_consumer(
    conn: &mut dyn Conn,
    consumer: &ConsumerName,
) -> Result<(), StoreError> {
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
    consumer: &ConsumerName,
    name: &ConsumerName,
) -> Result<(), StoreError> {
    for sql in [
        "UPDATE cursor SET consumer = $2 WHERE consumer = $1",
        "UPDATE dead_letter SET consumer = $2 WHERE consumer = $1",
    ] {
        conn.execute(sql, args![consumer, name]).await?;
    }
    Ok(())
}
