//! Leases: one holder at a time, by the clock of the database.

use std::time::Duration;

use crate::{
    args,
    store::{
        error::StoreError,
        postgres::{database::Postgres, transaction::query_once},
    },
};

/// Acquires or renews a lease. False if another holder has it.
pub(super) async fn acquire(
    db: &Postgres,
    name: &str,
    holder: &str,
    time: Duration,
) -> Result<bool, StoreError> {
    let sql = "INSERT INTO lease (name, holder, ends)
               VALUES ($1, $2, clock_timestamp() + $3 * INTERVAL '1 millisecond')
               ON CONFLICT (name) DO UPDATE SET holder = excluded.holder,
                   ends = clock_timestamp() + $3 * INTERVAL '1 millisecond'
               WHERE lease.holder = excluded.holder OR lease.ends <= clock_timestamp() RETURNING 1";
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let acquired = query_once(db, sql, args![name, holder, millis]).await?;
    Ok(!acquired.is_empty())
}

pub(super) async fn release(db: &Postgres, name: &str, holder: &str) -> Result<(), StoreError> {
    let sql = "DELETE FROM lease WHERE name = $1 AND holder = $2";
    query_once(db, sql, args![name, holder]).await?;
    Ok(())
}

/// Whether anybody holds a lease.
pub(super) async fn any(db: &Postgres) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM lease WHERE ends > clock_timestamp() LIMIT 1";
    Ok(!query_once(db, sql, args![]).await?.is_empty())
}
