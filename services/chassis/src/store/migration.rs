//! The `migration` table: what was done to the schema.

use crate::{
    args,
    base::time::Timestamp,
    store::{connection::Conn, error::StoreError},
};

/// DDL of a context's read models, applied once, in order; in the common subset of SQLite and PostgreSQL.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// The name under which it is recorded. It never changes.
    pub name: &'static str,
    /// The statements, separated by `;`.
    pub sql: &'static str,
}

/// The state of a schema, by names of migrations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// The migrations that this version needs.
    pub needed: Vec<String>,
    /// Those of them that were not applied.
    pub missing: Vec<String>,
}

/// Applies the migrations that were not applied yet.
pub(crate) async fn apply(
    conn: &mut dyn Conn,
    migrations: &[Migration],
    at: Timestamp,
) -> Result<(), StoreError> {
    for migration in migrations {
        let applied = "SELECT name FROM migration WHERE name = $1";
        let applied = conn.query(applied, args![migration.name]).await?;
        if !applied.is_empty() {
            continue;
        }
        let statements = migration.sql.split(';').map(str::trim);
        for statement in statements.filter(|statement| !statement.is_empty()) {
            conn.execute(statement, args![]).await?;
        }
        let record = "INSERT INTO migration (name, applied_at) VALUES ($1, $2)";
        conn.execute(record, args![migration.name, at]).await?;
    }
    Ok(())
}

/// Writes a row to test whether the store can write. It is kept in this table because nothing else writes to it.
pub(crate) async fn probe(conn: &mut dyn Conn, at: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO migration (name, applied_at) VALUES (':probe', $1)
        ON CONFLICT (name) DO UPDATE SET applied_at = excluded.applied_at";
    conn.execute(sql, args![at]).await?;
    Ok(())
}
