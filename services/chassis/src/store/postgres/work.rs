//! What the chassis does on a connection, in few round trips.

use futures::FutureExt;

use crate::store::postgres::{conn::Pg, plan::Pending};
use crate::{
    args,
    domain::aggregate::ClaimRange,
    store::{
        StoreError, Value,
        connection::Conn,
        work::{Answer, Batch, Found, Savepoint, Step, Work},
    },
};

impl Work for Pg {
    fn find<'a>(
        &'a mut self,
        kind: &'static str,
        id: &'a str,
        looks: &'a [ClaimRange],
    ) -> Answer<'a, Found> {
        async move {
            if let Some(row) = self.ahead.remove(&(kind, id.to_owned()))
                && (row.is_some() || looks.is_empty())
            {
                let taken = row.is_none().then(Vec::new);
                return Ok(Found { row, taken });
            }
            self.settle_for(kind, id, !looks.is_empty()).await?;
            let mut sql =
                "SELECT CAST(-1 AS BIGINT), state, version, created_at, updated_at FROM aggregate \
                           WHERE kind = $1 AND id = $2"
                    .to_owned();
            let mut values = args![kind, id];
            for (place, look) in looks.iter().enumerate() {
                let (scope, from, to) = places(&mut values, look);
                let look = format!(
                    " UNION ALL SELECT {place}, key, 0, 0, 0 FROM claim \
                     WHERE scope = ${scope} AND key >= ${from} AND key < ${to}"
                );
                sql.push_str(&look);
            }
            let rows = self.rows(&sql, values).await?;
            let mut found = Found {
                row: None,
                taken: Some(vec![Vec::new(); looks.len()]),
            };
            for row in rows {
                match usize::try_from(row.int(0)?) {
                    Ok(place) => keep(found.taken.as_mut(), place, row.text(1)?),
                    Err(_) => found.row = Some(row.after(1)),
                }
            }
            Ok(found)
        }
        .boxed()
    }

    fn look_ahead<'a>(&'a mut self, kind: &'static str, ids: &'a [String]) -> Answer<'a, ()> {
        async move {
            let list = serde_json::to_string(ids);
            let list = list.map_err(|error| StoreError::Bug(error.to_string()))?;
            // Each is found by its key, whatever the planner knows of the table.
            let sql = "SELECT w.id, a.state, a.version, a.created_at, a.updated_at
                       FROM jsonb_array_elements_text($2::jsonb) AS w (id), LATERAL (
                           SELECT state, version, created_at, updated_at FROM aggregate
                           WHERE kind = $1 AND id = w.id OFFSET 0) AS a";
            let rows = self.rows(sql, args![kind, list]).await?;
            let absent = ids.iter().map(|id| ((kind, id.clone()), None));
            self.ahead.extend(absent);
            for row in rows {
                let key = (kind, row.text(0)?.to_owned());
                self.ahead.insert(key, Some(row.after(1)));
            }
            Ok(())
        }
        .boxed()
    }

    fn taken<'a>(
        &'a mut self,
        looks: &'a [ClaimRange],
        owner: &'a str,
    ) -> Answer<'a, Vec<Vec<String>>> {
        async move {
            let mut values = args![owner];
            let looked = looks.iter().enumerate().map(|(place, look)| {
                let (scope, from, to) = places(&mut values, look);
                format!(
                    "SELECT CAST({place} AS BIGINT), key FROM claim \
                     WHERE scope = ${scope} AND key >= ${from} AND key < ${to} AND owner <> $1"
                )
            });
            let sql: Vec<String> = looked.collect();
            let mut taken = vec![Vec::new(); looks.len()];
            for row in self.query(&sql.join(" UNION ALL "), values).await? {
                let place = usize::try_from(row.int(0)?).unwrap_or(usize::MAX);
                keep(Some(&mut taken), place, row.text(1)?);
            }
            Ok(taken)
        }
        .boxed()
    }

    fn save(&mut self, step: Step) -> Answer<'_, ()> {
        self.wait(Pending::Step(step));
        std::future::ready(Ok(())).boxed()
    }

    fn advance<'a>(&'a mut self, batch: Batch<'a>) -> Answer<'a, Option<Vec<String>>> {
        async move {
            self.settle().await?;
            if batch.alone {
                self.lock(batch.consumer).await?;
            }
            let sql = "SELECT seq, '' FROM cursor WHERE consumer = $1 AND producer = $2
                       UNION ALL SELECT DISTINCT CAST(-1 AS BIGINT), aggregate FROM dead_letter
                       WHERE consumer = $1 AND producer = $2";
            let values = args![batch.consumer, batch.producer];
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
            self.wait(Pending::Cursor(batch.into()));
            Ok(Some(blocked))
        }
        .boxed()
    }

    fn savepoint(&mut self, point: Savepoint) -> Answer<'_, ()> {
        self.mark(point).boxed()
    }
}

/// Adds a look to the values of a statement; answers the places of scope, from and to.
fn places(values: &mut Vec<Value>, look: &ClaimRange) -> (usize, usize, usize) {
    let at = values.len();
    values.extend(args![&*look.scope, &*look.from, &*look.to]);
    (at + 1, at + 2, at + 3)
}

fn keep(taken: Option<&mut Vec<Vec<String>>>, look: usize, key: &str) {
    if let Some(keys) = taken.and_then(|taken| taken.get_mut(look)) {
        keys.push(key.to_owned());
    }
}
