//! Numbers committed events of the log. An event gets its position when it is inserted, in no order of commits, and its
//! sequence number when it is committed.

use crate::{
    args,
    store::{
        error::StoreError,
        postgres::{
            database::Postgres,
            transaction::{PgTransaction, query_once},
        },
    },
};

/// The most events that are numbered at once.
const BATCH: usize = 10_000;

/// Numbers committed events; one process at a time. Returns whether there were any.
///
/// Each statement sees what was committed before it began, so the second one sees the numbers given by the previous holder
/// of the lock.
///
/// No event is numbered if the log ends before `floor`: after a failover the next numbers may have been given to events
/// that were lost.
pub(super) async fn number(db: &Postgres, floor: i64) -> Result<bool, StoreError> {
    let any = "SELECT 1 FROM log WHERE seq IS NULL LIMIT 1";
    if query_once(db, any, args![]).await?.is_empty() {
        return Ok(false);
    }
    let sql = format!(
        "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended(current_schema(), 2));
         WITH new AS MATERIALIZED (
             SELECT position, row_number() OVER (ORDER BY position) AS nth
             FROM log WHERE seq IS NULL ORDER BY position LIMIT {BATCH}),
         head AS MATERIALIZED (SELECT COALESCE(MAX(seq), 0) AS seq FROM log)
         UPDATE log SET seq = head.seq + new.nth FROM new, head
         WHERE log.position = new.position AND head.seq >= {floor};
         COMMIT"
    );
    PgTransaction::new(db, 0).run_script(&sql).await?;
    Ok(true)
}

pub(super) async fn unnumbered(db: &Postgres) -> Result<i64, StoreError> {
    let sql = "SELECT COUNT(*) FROM log WHERE seq IS NULL";
    let rows = query_once(db, sql, args![]).await?;
    rows.first().map_or(Ok(0), |row| row.int(0))
}
