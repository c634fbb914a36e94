//! Leases: one holder at a time.
//!
//! No clock is compared with another one, so a clock that is set back or forward changes nothing. The holder renews its
//! lease. Another one acquires it after it has seen the same renewal for the whole time of the lease, by its own monotonic
//! clock.

use std::{
    collections::BTreeMap,
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    args,
    store::{
        error::StoreError,
        postgres::{database::Postgres, renewals::SeenRenewal, transaction::query_once},
    },
};

/// How often leases are looked at.
const POLL: Duration = Duration::from_millis(100);

/// Acquires or renews a lease. False if another holder has it.
pub(super) async fn acquire(
    db: &Postgres,
    name: &str,
    holder: &str,
    time: Duration,
) -> Result<bool, StoreError> {
    // A statement sees the table as it was before it, so the row of another holder may be missing from the result.
    let sql = "WITH acquired AS (
                   INSERT INTO lease (name, holder, renewal, millis) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, renewal = excluded.renewal,
                       millis = excluded.millis
                   WHERE lease.holder = excluded.holder OR lease.renewal = $5 RETURNING 1)
               SELECT '', CAST(0 AS BIGINT) FROM acquired
               UNION ALL SELECT renewal, millis FROM lease
               WHERE name = $1 AND NOT EXISTS (SELECT 1 FROM acquired)";
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let values = args![
        name,
        holder,
        Uuid::new_v4().to_string(),
        millis,
        expired(db, name)
    ];
    let rows = query_once(db, sql, values).await?;
    let Some(row) = rows.first() else {
        return Ok(false);
    };
    let renewal = row.text(0)?;
    let acquired = renewal.is_empty();
    if acquired {
        seen_renewals(db).remove(name);
    } else {
        let millis = u64::try_from(row.int(1)?).unwrap_or_default();
        see(db, name, renewal, Duration::from_millis(millis));
    }
    Ok(acquired)
}

/// The renewal of a lease that has expired; empty if none has.
fn expired(db: &Postgres, name: &str) -> String {
    let seen = seen_renewals(db);
    let seen = seen.get(name);
    let expired = seen.filter(|seen| seen.since.elapsed() >= seen.time);
    expired.map(|seen| seen.id.clone()).unwrap_or_default()
}

fn see(db: &Postgres, name: &str, renewal: &str, time: Duration) {
    let mut all = seen_renewals(db);
    if all.get(name).is_none_or(|seen| seen.id != renewal) {
        let seen = SeenRenewal {
            id: renewal.to_owned(),
            since: Instant::now(),
            time,
        };
        all.insert(name.to_owned(), seen);
    }
}

fn seen_renewals(db: &Postgres) -> MutexGuard<'_, BTreeMap<String, SeenRenewal>> {
    db.leases.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) async fn release(db: &Postgres, name: &str, holder: &str) -> Result<(), StoreError> {
    let sql = "DELETE FROM lease WHERE name = $1 AND holder = $2";
    query_once(db, sql, args![name, holder]).await?;
    Ok(())
}

/// Whether anybody holds a lease. A holder is noticed when it renews, so this takes the time of a lease that has expired.
pub(super) async fn any(db: &Postgres) -> Result<bool, StoreError> {
    let before = all(db).await?;
    let longest = before.iter().map(|(_, time)| *time).max();
    let until = Instant::now() + longest.unwrap_or_default();
    while Instant::now() < until {
        sleep(POLL).await;
        if all(db).await?.iter().any(|lease| !before.contains(lease)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The renewal and the time of each lease.
async fn all(db: &Postgres) -> Result<Vec<(String, Duration)>, StoreError> {
    let rows = query_once(db, "SELECT renewal, millis FROM lease", args![]).await?;
    let leases = rows.iter().map(|row| {
        let millis = u64::try_from(row.int(1)?).unwrap_or_default();
        Ok((row.text(0)?.to_owned(), Duration::from_millis(millis)))
    });
    leases.collect()
}
