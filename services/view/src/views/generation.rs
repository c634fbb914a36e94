//! Generations of rows: begin, switch, cleanup, digest.

use chassis::{
    StoreError, args,
    store::{Conn, Row, Value},
};
use sha2::{Digest, Sha256};

/// Number of rows read or deleted by one statement.
const CHUNK: i64 = 500;

/// A table of the views.
struct Table {
    name: &'static str,
    /// Key columns besides the generation.
    key: &'static [&'static str],
    /// All other columns.
    columns: &'static str,
}

const TABLES: &[Table] = &[
    Table {
        name: "room_view",
        key: &["room_id"],
        columns: "host_id, title, description, unit, currency, price, room_status, review_count, rating_sum,
                  reservation_id, customer_id, reservation_created_at, reservation_status, payment_status,
                  reservation_count, room_at, reservation_at, payment_at, updated_at",
    },
    Table {
        name: "review",
        key: &["reservation_id"],
        columns: "room_id, rating, changed_at",
    },
    Table {
        name: "reservation",
        key: &["reservation_id"],
        columns: "customer_id, offer_id, title, period, currency, price, status, reason, created_at, changed_at",
    },
    Table {
        name: "payment",
        key: &["reservation_id"],
        columns: "status, currency, refund, changed_at",
    },
    Table {
        name: "notified",
        key: &["reservation_id", "recipient_id"],
        columns: "times, changed_at",
    },
];

/// The live generation and the last one that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generations {
    pub(crate) live: i64,
    pub(crate) building: i64,
}

pub(crate) async fn current(conn: &mut dyn Conn) -> Result<Generations, StoreError> {
    let sql = "SELECT live, building FROM view_generation WHERE id = 1";
    let rows = conn.query(sql, args![]).await?;
    let row = rows
        .first()
        .ok_or_else(|| StoreError::Bug("no generation".into()))?;
    Ok(Generations {
        live: row.int(0)?,
        building: row.int(1)?,
    })
}

/// Begins the generation after `building`. Fails with an optimistic conflict if another one was begun.
pub(crate) async fn begin(conn: &mut dyn Conn, building: i64) -> Result<i64, StoreError> {
    let sql = "UPDATE view_generation SET building = $2 WHERE id = 1 AND building = $1";
    if conn.execute(sql, args![building, building + 1]).await? == 1 {
        Ok(building + 1)
    } else {
        Err(StoreError::Contended)
    }
}

/// Makes `next` the live generation. Fails with an optimistic conflict unless `next` is the last one begun.
pub(crate) async fn swap(conn: &mut dyn Conn, live: i64, next: i64) -> Result<(), StoreError> {
    let sql = "UPDATE view_generation SET live = $2 WHERE id = 1 AND live = $1 AND building = $2";
    if conn.execute(sql, args![live, next]).await? == 1 {
        Ok(())
    } else {
        Err(StoreError::Contended)
    }
}

/// Deletes some rows of generations that are neither live nor the last one begun. Returns whether there may be more.
pub(crate) async fn sweep(conn: &mut dyn Conn) -> Result<bool, StoreError> {
    let Generations { live, building } = current(conn).await?;
    let mut more = false;
    for Table { name, key, .. } in TABLES {
        let key = key.join(", ");
        for (after, before) in [(0, live), (live, building)] {
            let stale = "generation > $1 AND generation < $2";
            let sql = format!(
                "DELETE FROM {name} WHERE {stale} AND (generation, {key}) IN
                 (SELECT generation, {key} FROM {name} WHERE {stale} LIMIT $3)"
            );
            more |= conn.execute(&sql, args![after, before, CHUNK]).await? > 0;
        }
    }
    Ok(more)
}

/// SHA-256 over the rows of a generation in the order of their keys, in hex.
pub(crate) async fn digest(conn: &mut dyn Conn, generation: i64) -> Result<String, StoreError> {
    let mut hash = Sha256::new();
    for Table { name, key, columns } in TABLES {
        hash.update(name.as_bytes());
        let width = key.len();
        let parameters: Vec<_> = (0..width).map(|index| format!("${}", index + 3)).collect();
        let (key, parameters) = (key.join(", "), parameters.join(", "));
        let sql = format!(
            "SELECT {key}, {columns} FROM {name} WHERE generation = $1 AND ({key}) > ({parameters}) ORDER BY {key} LIMIT $2"
        );
        let mut last = vec![Value::from(""); width];
        loop {
            let mut values = args![generation, CHUNK];
            values.extend(last.clone());
            let rows = conn.query(&sql, values).await?;
            for value in rows.iter().flat_map(Row::values) {
                add(&mut hash, value);
            }
            match rows.last() {
                Some(row) => last = row.values().iter().take(width).cloned().collect(),
                None => break,
            }
        }
    }
    Ok(format!("{:x}", hash.finalize()))
}

/// Adds type, length and bytes of a value, so that different rows never give the same input.
fn add(hash: &mut Sha256, value: &Value) {
    let (kind, bytes): (u8, &[u8]) = match value {
        Value::Int(Some(value)) => (1, &value.to_be_bytes()),
        Value::Real(Some(value)) => (2, &value.to_be_bytes()),
        Value::Text(Some(value)) => (3, value.as_bytes()),
        Value::Blob(Some(value)) => (4, value),
        Value::Int(None) | Value::Real(None) | Value::Text(None) | Value::Blob(None) => (0, &[]),
    };
    hash.update([kind]);
    hash.update(bytes.len().to_be_bytes());
    hash.update(bytes);
}
