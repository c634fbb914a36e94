//! The `claim` table: which aggregate holds which unique key. Commands on PostgreSQL write it with everything else in one
//! statement, see `postgres/statement.rs`.

use std::collections::BTreeSet;

use crate::{
    args,
    domain::aggregate::ClaimRange,
    store::{connection::Conn, error::StoreError, row::Value},
};

/// Claims a key. False if it is held already.
pub(crate) async fn claim(
    conn: &mut dyn Conn,
    scope: &str,
    key: &str,
    owner: &str,
) -> Result<bool, StoreError> {
    let sql = "INSERT INTO claim (scope, key, owner) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    Ok(conn.execute(sql, args![scope, key, owner]).await? == 1)
}

/// Releases every claim of an owner but some, whatever their keys are.
pub(crate) async fn release(
    conn: &mut dyn Conn,
    owner: &str,
    kept: &[(String, String)],
) -> Result<(), StoreError> {
    let sql = "SELECT scope, key FROM claim WHERE owner = $1";
    for row in conn.query(sql, args![owner]).await? {
        let (scope, key) = (row.text(0)?, row.text(1)?);
        if !kept.iter().any(|kept| (&*kept.0, &*kept.1) == (scope, key)) {
            let sql = "DELETE FROM claim WHERE scope = $1 AND key = $2";
            conn.execute(sql, args![scope, key]).await?;
        }
    }
    Ok(())
}

/// Releases some claims of a kind of owners. Returns whether there were any.
pub(crate) async fn release_some(
    conn: &mut dyn Conn,
    kind: &str,
    limit: usize,
) -> Result<bool, StoreError> {
    let sql = "DELETE FROM claim WHERE (scope, key) IN (
                   SELECT scope, key FROM claim WHERE owner >= $1 AND owner < $2 LIMIT $3)";
    // `0` is the character after `/`.
    let (from, to) = (format!("{kind}/"), format!("{kind}0"));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    Ok(conn.execute(sql, args![from, to, limit]).await? > 0)
}

/// Inserts claims: scope, key, owner. If one is held already, returns its scope and key, its holder and the other owner.
pub(crate) async fn claim_all(
    conn: &mut dyn Conn,
    claims: &[Vec<Value>],
) -> Result<Option<(String, String, String)>, StoreError> {
    let rows = (0..claims.len()).map(|row| row * 3);
    let rows: Vec<String> = rows
        .map(|at| format!("(${}, ${}, ${})", at + 1, at + 2, at + 3))
        .collect();
    let sql = format!(
        "INSERT INTO claim (scope, key, owner) VALUES {} ON CONFLICT DO NOTHING",
        rows.join(", ")
    );
    let inserted = conn.execute(&sql, claims.concat()).await?;
    if inserted == u64::try_from(claims.len()).unwrap_or(0) {
        return Ok(None);
    }
    for claim in claims {
        if let [
            Value::Text(Some(scope)),
            Value::Text(Some(key)),
            Value::Text(Some(owner)),
        ] = &**claim
            && let Some(holder) = holder(conn, scope, key).await?
            && holder != *owner
        {
            return Ok(Some((format!("{scope} {key}"), holder, owner.clone())));
        }
    }
    Ok(None)
}

/// For each range, the keys held by aggregates other than `owner`.
pub(crate) async fn held_by_others(
    conn: &mut dyn Conn,
    ranges: &[ClaimRange],
    owner: &str,
) -> Result<Vec<Vec<String>>, StoreError> {
    let mut held = Vec::with_capacity(ranges.len());
    for range in ranges {
        let mut values = args![owner];
        let sql = select_held(range, &mut values, "key", "AND owner <> $1");
        let rows = conn.query(&sql, values).await?;
        let keys = rows.iter().map(|row| row.text(0).map(str::to_owned));
        held.push(held_keys(range, keys.collect::<Result<_, _>>()?));
    }
    Ok(held)
}

/// A query for the keys of a range that are held, to be completed by [`held_keys`]. `columns` name the columns; `key` in
/// them is the key.
pub(crate) fn select_held(
    range: &ClaimRange,
    values: &mut Vec<Value>,
    columns: &str,
    and_owner: &str,
) -> String {
    let at = values.len();
    let [scope, from, to, count, wanted] =
        [1, 2, 3, 4, 5].map(|number| format!("${}", at + number));
    values.extend(args![&*range.scope, &*range.from, &*range.to]);
    let Some(units) = range.units else {
        return format!(
            "SELECT {columns} FROM claim
             WHERE scope = {scope} AND key >= {from} AND key < {to} {and_owner}"
        );
    };
    values.extend(args![i64::from(units.count), i64::from(units.wanted)]);
    // One lookup for each unit, however many keys it holds, and none after enough units were found. As a scalar subquery
    // with an order it is a lookup in the index, whatever the planner estimates.
    let unit = "substr(CAST(10000 + number AS TEXT), 2) || '/' ||";
    format!(
        "SELECT {columns} FROM (
             WITH RECURSIVE unit (number) AS (
                 SELECT CAST(1 AS BIGINT) UNION ALL SELECT number + 1 FROM unit WHERE number < {count})
             SELECT CAST(number AS TEXT) AS key FROM unit WHERE (
                 SELECT 1 FROM claim
                 WHERE scope = {scope} AND key >= {unit} {from} AND key < {unit} {to} {and_owner}
                 ORDER BY key LIMIT 1) IS NULL
             LIMIT {wanted}) AS free"
    )
}

/// The held keys of a range. Of units, the query has returned the numbers of those that hold none.
pub(crate) fn held_keys(range: &ClaimRange, found: Vec<String>) -> Vec<String> {
    let Some(units) = range.units else {
        return found;
    };
    let free: BTreeSet<u32> = found.iter().filter_map(|unit| unit.parse().ok()).collect();
    let enough = free.len() >= usize::try_from(units.wanted).unwrap_or(usize::MAX);
    let last = match free.last() {
        Some(last) if enough => *last,
        _ => units.count,
    };
    let held = (1..=last).filter(|unit| !free.contains(unit));
    held.map(|unit| ClaimRange::unit_key(unit, &range.from))
        .collect()
}

/// The owner of a claim.
pub(crate) async fn holder(
    conn: &mut dyn Conn,
    scope: &str,
    key: &str,
) -> Result<Option<String>, StoreError> {
    let sql = "SELECT owner FROM claim WHERE scope = $1 AND key = $2";
    let row = conn.query(sql, args![scope, key]).await?.pop();
    row.map(|row| row.text(0).map(str::to_owned)).transpose()
}

/// Every claim: scope, key, owner.
pub(crate) async fn all(conn: &mut dyn Conn) -> Result<Vec<(String, String, String)>, StoreError> {
    let sql = "SELECT scope, key, owner FROM claim ORDER BY scope, key";
    let rows = conn.query(sql, args![]).await?;
    let texts = rows.iter().map(|row| {
        Ok((
            row.text(0)?.to_owned(),
            row.text(1)?.to_owned(),
            row.text(2)?.to_owned(),
        ))
    });
    texts.collect()
}
