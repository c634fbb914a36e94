//! The tables `recovery` and `abandoned`: how often the log was recovered after a loss, and which history that replaced.

use crate::{
    args,
    base::time::Timestamp,
    domain::{
        digest::LogDigest,
        position::{Cursor, Position, Skip},
    },
    store::{connection::Conn, error::StoreError},
};

/// A recovery of the log. The events between `fork` and `fork + shift` are lost ones that were put back; those that had
/// taken their sequence numbers follow, each `shift` later than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The epoch that it began.
    pub epoch: i64,
    /// The last sequence number of the history that was the same everywhere.
    pub fork: i64,
    /// The highest sequence number of earlier epochs that it has accounted for.
    pub settled: i64,
    /// By how much the sequence numbers of later events grew.
    pub shift: i64,
    /// When it happened.
    pub at: Timestamp,
}

/// Records a recovery, and the digests of the events whose sequence numbers changed.
pub(crate) async fn put(
    conn: &mut dyn Conn,
    recovery: &Recovery,
    abandoned: &[(i64, LogDigest)],
) -> Result<(), StoreError> {
    let Recovery {
        epoch,
        fork,
        settled,
        shift,
        at,
    } = *recovery;
    let sql = "INSERT INTO recovery (epoch, fork, settled, shift, at) VALUES ($1, $2, $3, $4, $5)";
    conn.execute(sql, args![epoch, fork, settled, shift, at])
        .await?;
    for (seq, digest) in abandoned {
        let sql = "INSERT INTO abandoned (epoch, seq, digest) VALUES ($1, $2, $3)";
        conn.execute(sql, args![epoch, *seq, *digest]).await?;
    }
    Ok(())
}

/// Where a consumer continues that was at a position of an earlier history; none if no recovery has accounted for it.
pub(crate) async fn resume(
    conn: &mut dyn Conn,
    from: Position,
) -> Result<Option<Cursor>, StoreError> {
    let sql = "SELECT epoch, fork, shift FROM recovery WHERE epoch > $1 AND settled >= $2 ORDER BY epoch LIMIT 1";
    let rows = conn.query(sql, args![from.epoch, from.seq]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let (epoch, fork, shift) = (row.int(0)?, row.int(1)?, row.int(2)?);
    let sql = "SELECT 1 FROM abandoned WHERE epoch = $1 AND seq = $2 AND digest = $3";
    let moved = conn.query(sql, args![epoch, from.seq, from.digest]).await?;
    let cursor = if moved.is_empty() {
        (from.seq, Skip::default())
    } else {
        // It has applied the events after the fork that are later now, and not the lost ones.
        let skip = Skip {
            after: fork + shift,
            to: from.seq + shift,
        };
        (fork, skip)
    };
    let at = Position {
        seq: cursor.0,
        ..from
    };
    Ok(Some(Cursor { at, skip: cursor.1 }))
}
