//! The operations of a transaction, in few round trips.

use futures::FutureExt;

use crate::{
    args,
    domain::aggregate::ClaimRange,
    store::{
        claims::{held_keys, select_held},
        connection::{Conn, StoreFuture},
        error::StoreError,
        postgres::{batch::Deferred, transaction::PgTransaction},
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
                let columns = format!("{index}, key, 0, 0, 0");
                sql.push_str(" UNION ALL ");
                sql.push_str(&select_held(range, &mut values, &columns, ""));
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
                held: Some(complete(ranges, held)),
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
                let columns = format!("CAST({index} AS BIGINT), key");
                select_held(range, &mut values, &columns, "AND owner <> $1")
            });
            let sql: Vec<String> = queries.collect();
            let mut held = vec![Vec::new(); ranges.len()];
            for row in self.query(&sql.join(" UNION ALL "), values).await? {
                let index = usize::try_from(row.int(0)?).unwrap_or(usize::MAX);
                keep(&mut held, index, row.text(1)?);
            }
            Ok(complete(ranges, held))
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

fn complete(ranges: &[ClaimRange], found: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let found = ranges.iter().zip(found);
    found.map(|(range, keys)| held_keys(range, keys)).collect()
}

fn keep(held: &mut [Vec<String>], range: usize, key: &str) {
    if let Some(keys) = held.get_mut(range) {
        keys.push(key.to_owned());
    }
}
