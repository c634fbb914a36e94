//! The `aggregate` table: the current state of each aggregate.

use crate::{
    args,
    base::time::Timestamp,
    domain::{
        aggregate::{Aggregate, ClaimRange, Versioned},
        event::Recorded,
    },
    store::{
        claims,
        connection::Conn,
        error::StoreError,
        log::values,
        row::{Row, Value},
        transaction::{AggregateChange, Found},
    },
};

/// The row of an aggregate: state, version, created, updated.
pub(crate) async fn load(
    conn: &mut dyn Conn,
    kind: &str,
    id: &str,
) -> Result<Option<Row>, StoreError> {
    let sql =
        "SELECT state, version, created_at, updated_at FROM aggregate WHERE kind = $1 AND id = $2";
    Ok(conn.query(sql, args![kind, id]).await?.pop())
}

/// The aggregate in a row that has state, version, created and updated from `column` on.
pub(crate) fn versioned<A: Aggregate>(
    row: &Row,
    column: usize,
) -> Result<Versioned<A>, StoreError> {
    let unreadable = |error| StoreError::Bug(format!("a stored {} is invalid: {error}", A::KIND));
    Ok(Versioned {
        state: serde_json::from_str(row.text(column)?).map_err(unreadable)?,
        version: row.int(column + 1)?,
        created: row.time(column + 2)?,
        updated: row.time(column + 3)?,
    })
}

/// The row of an aggregate. If it does not exist, the held keys of the claim ranges.
pub(crate) async fn find(
    conn: &mut dyn Conn,
    kind: &str,
    id: &str,
    ranges: &[ClaimRange],
) -> Result<Found, StoreError> {
    let row = load(conn, kind, id).await?;
    let held = match &row {
        Some(_) => None,
        None => Some(claims::held_by_others(conn, ranges, "").await?),
    };
    Ok(Found { row, held })
}

/// Rows of a kind after an id: id, state, version, created, updated.
pub(crate) async fn page(
    conn: &mut dyn Conn,
    kind: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<Row>, StoreError> {
    let sql = "SELECT id, state, version, created_at, updated_at FROM aggregate
               WHERE kind = $1 AND id > $2 ORDER BY id LIMIT $3";
    conn.query(sql, args![kind, after, limit]).await
}

/// An aggregate that is due and does not wait for a retry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Its kind.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Since when it is due.
    pub since: Timestamp,
    /// How often it was handled in vain since then.
    pub failures: i64,
}

/// Due aggregates of some kinds: those that wait longest first. One that has failed waits for its retry.
pub(crate) async fn due(
    conn: &mut dyn Conn,
    kinds: &[&str],
    at: Timestamp,
    limit: i64,
) -> Result<Vec<Due>, StoreError> {
    let mut values = args![at, limit];
    values.extend(kinds.iter().map(|kind| Value::from(*kind)));
    let sql = due_sql(kinds.len());
    let rows = conn.query(&sql, values).await?;
    let due = rows.iter().map(|row| {
        Ok(Due {
            kind: row.text(0)?.to_owned(),
            id: row.text(1)?.to_owned(),
            since: row.time(2)?,
            failures: row.int(3)?,
        })
    });
    due.collect()
}

/// The query for the due aggregates of so many kinds. Each part has an index of its own, so that those that wait for a retry are
/// never read. `COALESCE` keeps the primary key, which begins with the kind, from being used instead: that reads every aggregate.
pub(super) fn due_sql(kinds: usize) -> String {
    let kinds: Vec<String> = (3..3 + kinds).map(|number| format!("${number}")).collect();
    let kinds = kinds.join(", ");
    let part = |at: &str, which: &str| {
        format!(
            "SELECT kind, id, due_at, failures, wait FROM (
                 SELECT kind, id, due_at, failures, {at} AS wait FROM aggregate
                 WHERE {which} AND {at} <= $1 AND COALESCE(kind, '') IN ({kinds}) ORDER BY {at} LIMIT $2) AS by_{at}"
        )
    };
    format!(
        "{} UNION ALL {} ORDER BY wait LIMIT $2",
        part("due_at", "due_at IS NOT NULL AND retry_at IS NULL"),
        part("retry_at", "retry_at IS NOT NULL")
    )
}

/// Lets an aggregate wait for a retry, unless its state has changed.
pub(crate) async fn postpone(
    conn: &mut dyn Conn,
    due: &Due,
    retry: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE aggregate SET retry_at = $4, failures = failures + 1
               WHERE kind = $1 AND id = $2 AND due_at = $3";
    let values = args![&*due.kind, &*due.id, due.since, retry];
    conn.execute(sql, values).await.map(|_| ())
}

/// Saves a change, one statement after the other.
pub(crate) async fn save(conn: &mut dyn Conn, change: AggregateChange) -> Result<(), StoreError> {
    let owner = change.owner();
    if !put(conn, &change).await? {
        return Err(StoreError::Contended);
    }
    if let Some(kept) = &change.released {
        claims::release(conn, &owner, kept).await?;
    }
    for (scope, key) in &change.claimed {
        if !claims::claim(conn, scope, key, &owner).await? {
            return Err(StoreError::Contended);
        }
    }
    for event in &change.events {
        append(conn, event).await?;
    }
    Ok(())
}

/// Appends an event to the log with the next sequence number, and the digest that the SQL function `log_digest` computes. As
/// `VALUES` it needs no temporary table and no journal of the statement, as an `INSERT` from the table itself would.
async fn append(conn: &mut dyn Conn, event: &Recorded) -> Result<(), StoreError> {
    let sql = "INSERT INTO log (seq, digest, id, type, aggregate, version, at, payload, headers)
               VALUES (
                   (SELECT COALESCE(MAX(seq), 0) + 1 FROM log),
                   log_digest((SELECT digest FROM log ORDER BY seq DESC LIMIT 1), $1, $2, $3, $4, $5, $6),
                   $1, $2, $3, $4, $5, $6, $7)";
    conn.execute(sql, values(event)?).await?;
    Ok(())
}

/// Writes a state over the expected version. False if the version has changed.
async fn put(conn: &mut dyn Conn, change: &AggregateChange) -> Result<bool, StoreError> {
    let mut values = args![
        change.kind,
        &*change.id,
        change.version,
        &*change.state,
        change.due,
        change.at
    ];
    let sql = if change.expected_version == 0 {
        "INSERT INTO aggregate (kind, id, version, state, due_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT DO NOTHING"
    } else {
        values.extend(args![change.expected_version]);
        "UPDATE aggregate SET version = $3, state = $4, due_at = $5, updated_at = $6, retry_at = NULL, failures = 0
         WHERE kind = $1 AND id = $2 AND version = $7"
    };
    Ok(conn.execute(sql, values).await? == 1)
}
