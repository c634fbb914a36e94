//! The operations of a transaction, in few round trips.

use futures::FutureExt;

use crate::{
    args,
    domain::aggregate::ClaimRange,
    store::{
        connection::{Conn, StoreFuture},
        error::StoreError,
        postgres::{batch::Deferred, transaction::PgTransaction},
        row::Value,
        transaction::{AggregateChange, Batch, Found, Transaction},
    },
};

impl Transaction for PgTransaction<'_> {
    fn find<'a>(
        &'a mut self,
        kind: &'static str,
        id: &'a str,
        ranges: &'a [ClaimRange],
    ) -> StoreFuture<'a, Found> {
        async move {
            if let Some(row) = self.prefetched.remove(&(kind, id.to_owned()))
                && (row.is_some() || ranges.is_empty())
            {
                let held = row.is_none().then(Vec::new);
                return Ok(Found { row, held });
            }
            self.flush_for_aggregate(kind, id, !ranges.is_empty())
                .await?;
            let mut sql =
                "SELECT CAST(-1 AS BIGINT), state, version, created_at, updated_at FROM aggregate \
                           WHERE kind = $1 AND id = $2"
                    .to_owned();
            let mut values = args![kind, id];
            for (index, range) in ranges.iter().enumerate() {
                let (scope, from, to) = bind_range(&mut values, range);
                let query = format!(
                    " UNION ALL SELECT {index}, key, 0, 0, 0 FROM claim \
                     WHERE scope = ${scope} AND key >= ${from} AND key < ${to}"
                );
                sql.push_str(&query);
            }
            let rows = self.rows(&sql, values).await?;
            let (mut found, mut held) = (None, vec![Vec::new(); ranges.len()]);
            for row in rows {
                match usize::try_from(row.int(0)?) {
                    Ok(index) => keep(&mut held, index, row.text(1)?),
                    Err(_) => found = Some(row.without_first(1)),
                }
            }
            Ok(Found {
                row: found,
                held: Some(held),
            })
        }
        .boxed()
    }

    fn prefetch<'a>(&'a mut self, kind: &'static str, ids: &'a [String]) -> StoreFuture<'a, ()> {
        async move {
            let list = serde_json::to_string(ids);
            let list = list.map_err(|error| StoreError::Bug(error.to_string()))?;
            // OFFSET 0 keeps it an index lookup per id, whatever the planner estimates.
            let sql = "SELECT w.id, a.state, a.version, a.created_at, a.updated_at
                       FROM jsonb_array_elements_text($2::jsonb) AS w (id), LATERAL (
                           SELECT state, version, created_at, updated_at FROM aggregate
                           WHERE kind = $1 AND id = w.id OFFSET 0) AS a";
            let rows = self.rows(sql, args![kind, list]).await?;
            let absent = ids.iter().map(|id| ((kind, id.clone()), None));
            self.prefetched.extend(absent);
            for row in rows {
                let key = (kind, row.text(0)?.to_owned());
                self.prefetched.insert(key, Some(row.without_first(1)));
            }
            Ok(())
        }
        .boxed()
    }

    fn held_by_others<'a>(
        &'a mut self,
        ranges: &'a [ClaimRange],
        owner: &'a str,
    ) -> StoreFuture<'a, Vec<Vec<String>>> {
        async move {
            let mut values = args![owner];
            let queries = ranges.iter().enumerate().map(|(index, range)| {
                let (scope, from, to) = bind_range(&mut values, range);
                format!(
                    "SELECT CAST({index} AS BIGINT), key FROM claim \
                     WHERE scope = ${scope} AND key >= ${from} AND key < ${to} AND owner <> $1"
                )
            });
            let sql: Vec<String> = queries.collect();
            let mut held = vec![Vec::new(); ranges.len()];
            for row in self.query(&sql.join(" UNION ALL "), values).await? {
                let index = usize::try_from(row.int(0)?).unwrap_or(usize::MAX);
                keep(&mut held, index, row.text(1)?);
            }
            Ok(held)
        }
        .boxed()
    }

    fn save(&mut self, change: AggregateChange) -> StoreFuture<'_, ()> {
        self.deferred.push(Deferred::Change(change));
        std::future::ready(Ok(())).boxed()
    }

    fn lock<'a>(&'a mut self, name: &'a str) -> StoreFuture<'a, ()> {
        self.acquire_lock(name).boxed()
    }

    fn advance<'a>(&'a mut self, batch: Batch<'a>) -> StoreFuture<'a, Option<Vec<String>>> {
        async move {
            let subjects = serde_json::to_string(batch.subjects);
            let subjects = subjects.map_err(|error| StoreError::Bug(error.to_string()))?;
            let sql = "SELECT seq, '' FROM cursor WHERE consumer = $1 AND producer = $2
                       UNION ALL SELECT CAST(-1 AS BIGINT), s.aggregate
                       FROM jsonb_array_elements_text($3::jsonb) AS s (aggregate) WHERE EXISTS (
                           SELECT 1 FROM dead_letter d WHERE d.consumer = $1 AND d.producer = $2
                           AND d.aggregate = s.aggregate)";
            let values = args![batch.consumer, batch.producer, subjects];
            let (mut at, mut blocked) = (0, Vec::new());
            for row in self.query(sql, values).await? {
                match row.int(0)? {
                    -1 => blocked.push(row.text(1)?.to_owned()),
                    seq => at = seq,
                }
            }
            if at != batch.from {
                return Ok(None);
            }
            self.deferred.push(Deferred::Cursor(batch.into()));
            Ok(Some(blocked))
        }
        .boxed()
    }
}

/// Adds a range to the values of a statement and returns the numbers of scope, from and to.
fn bind_range(values: &mut Vec<Value>, range: &ClaimRange) -> (usize, usize, usize) {
    let at = values.len();
    values.extend(args![&*range.scope, &*range.from, &*range.to]);
    (at + 1, at + 2, at + 3)
}

fn keep(held: &mut [Vec<String>], range: usize, key: &str) {
    if let Some(keys) = held.get_mut(range) {
        keys.push(key.to_owned());
    }
}
