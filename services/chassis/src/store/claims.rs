//! The `claim` table: which aggregate holds which unique key.

use crate::{
    args,
    domain::aggregate::ClaimRange,
    store::{connection::Conn, error::StoreError},
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

pub(crate) async fn release(
    conn: &mut dyn Conn,
    scope: &str,
    key: &str,
    owner: &str,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM claim WHERE scope = $1 AND key = $2 AND owner = $3";
    conn.execute(sql, args![scope, key, owner]).await?;
    Ok(())
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
