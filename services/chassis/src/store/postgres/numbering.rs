//! Numbers committed events of the log. An event gets its position when it is inserted, in no order of commits, and its
//! sequence number and digest when it is committed.

use sqlx::{Arguments, postgres::PgArguments};

use crate::{
    args,
    domain::position::Position,
    store::{
        error::StoreError,
        log::{EVENT_COLUMNS, recorded},
        postgres::{
            database::Postgres,
            statement::Statement,
            transaction::{PgTransaction, query_once},
        },
    },
};

/// The most events that are numbered at once.
const BATCH: usize = 1_000;

/// Numbers committed events. Returns whether there were any.
///
/// Processes that do it at the same time would give the same numbers, which the unique index on them prevents: one fails.
///
/// No event is numbered if the log does not contain `floor`: after a failover the next numbers may have been given to events
/// that were lost.
pub(super) async fn number(db: &Postgres, floor: Position) -> Result<bool, StoreError> {
    let any = "SELECT 1 FROM log WHERE seq IS NULL LIMIT 1";
    if query_once(db, any, args![]).await?.is_empty() {
        return Ok(false);
    }
    // One statement, so that the last number and the events without one are from the same moment.
    let sql = format!(
        "SELECT n.position, {EVENT_COLUMNS}, l.seq, l.digest, f.digest
         FROM (SELECT position, {EVENT_COLUMNS} FROM log WHERE seq IS NULL ORDER BY position LIMIT {BATCH}) AS n
         LEFT JOIN (SELECT seq, digest FROM log WHERE seq IS NOT NULL ORDER BY seq DESC LIMIT 1) AS l ON TRUE
         LEFT JOIN (SELECT digest FROM log WHERE seq = $1) AS f ON TRUE
         ORDER BY n.position"
    );
    let mut transaction = PgTransaction::new(db, 0);
    let rows = transaction.rows(&sql, args![floor.seq]).await?;
    let (mut positions, mut seqs, mut digests) = (Vec::new(), Vec::new(), Vec::new());
    let mut last = None;
    for row in &rows {
        let (seq, digest) = match last {
            Some(last) => last,
            None if floor.seq > 0 && row.digest(10)? != floor.digest => return Ok(false),
            None => (row.opt_int(8)?.unwrap_or(0), row.digest(9)?),
        };
        let next = (seq + 1, recorded(row, db.context)?.digest_after(digest));
        positions.push(row.int(0)?);
        seqs.push(next.0);
        digests.push(next.1.as_bytes().to_vec());
        last = Some(next);
    }
    let mut args = PgArguments::default();
    let added = args
        .add(positions)
        .and_then(|()| args.add(seqs))
        .and_then(|()| args.add(digests));
    added.map_err(|error| StoreError::Bug(error.to_string()))?;
    let sql = "UPDATE log SET seq = n.seq, digest = n.digest
               FROM unnest($1, $2, $3) AS n (position, seq, digest)
               WHERE log.position = n.position AND log.seq IS NULL";
    let update = Statement {
        sql: sql.to_owned(),
        args,
        guarded: false,
    };
    match transaction.commit_statements(vec![update]).await {
        // Another process has just numbered some of them.
        Ok(()) | Err(StoreError::Contended) => Ok(true),
        Err(error) => Err(error),
    }
}

pub(super) async fn unnumbered(db: &Postgres) -> Result<i64, StoreError> {
    let sql = "SELECT COUNT(*) FROM log WHERE seq IS NULL";
    let rows = query_once(db, sql, args![]).await?;
    rows.first().map_or(Ok(0), |row| row.int(0))
}
