//! The `claim` table: which aggregate holds which unique key.

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
    let sql = "SELECT key FROM claim WHERE scope = $1 AND key >= $2 AND key < $3 AND owner <> $4";
    let mut held = Vec::with_capacity(ranges.len());
    for range in ranges {
        let values = args![&*range.scope, &*range.from, &*range.to, owner];
        let rows = conn.query(sql, values).await?;
        let keys = rows.iter().map(|row| row.text(0).map(str::to_owned));
        held.push(keys.collect::<Result<_, _>>()?);
    }
    Ok(held)
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
