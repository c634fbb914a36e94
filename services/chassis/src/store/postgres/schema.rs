//! The tables of every context in a PostgreSQL database, and their migrations.

use sqlx::{
    Connection, Executor, Row as _,
    postgres::{PgConnectOptions, PgConnection},
};

use crate::{
    args,
    base::{clock::Clock, time},
    store::{
        connection::Conn,
        error::StoreError,
        migration::{Migration, Schema},
        postgres::error::{StatementContext, StatementError},
    },
};

/// The migrations of the chassis. A released migration never changes.
///
/// A row of the log gets its `position` when it is inserted, and its `seq` and `digest` after it is committed.
const MIGRATIONS: &[Migration] = &[TABLES];

const TABLES: Migration = Migration {
    name: "chassis/0001_digest",
    sql: "
    CREATE TABLE aggregate (
        kind TEXT NOT NULL, id TEXT NOT NULL, version BIGINT NOT NULL, state TEXT NOT NULL, due_at BIGINT,
        retry_at BIGINT, failures BIGINT NOT NULL DEFAULT 0,
        created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, PRIMARY KEY (kind, id));
    CREATE INDEX aggregate_due ON aggregate (due_at) WHERE due_at IS NOT NULL AND retry_at IS NULL;
    CREATE INDEX aggregate_retry ON aggregate (retry_at) WHERE retry_at IS NOT NULL;
    CREATE TABLE claim (
        scope TEXT NOT NULL, key TEXT NOT NULL, owner TEXT NOT NULL, PRIMARY KEY (scope, key));
    CREATE INDEX claim_owner ON claim (owner);
    CREATE TABLE claim_format (kind TEXT PRIMARY KEY, version BIGINT NOT NULL);
    CREATE TABLE log (
        position BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, seq BIGINT, id TEXT NOT NULL,
        type TEXT NOT NULL, aggregate TEXT NOT NULL, version BIGINT NOT NULL, at BIGINT NOT NULL, payload BYTEA NOT NULL,
        headers TEXT NOT NULL, digest BYTEA);
    CREATE UNIQUE INDEX log_seq ON log (seq) WHERE seq IS NOT NULL;
    CREATE INDEX log_unnumbered ON log (position) WHERE seq IS NULL;
    CREATE INDEX log_aggregate ON log (aggregate, version);
    CREATE TABLE cursor (
        consumer TEXT NOT NULL, producer TEXT NOT NULL, seq BIGINT NOT NULL, epoch BIGINT NOT NULL,
        digest BYTEA NOT NULL, skip_after BIGINT NOT NULL DEFAULT 0, skip_to BIGINT NOT NULL DEFAULT 0,
        PRIMARY KEY (consumer, producer));
    CREATE TABLE dead_letter (
        consumer TEXT NOT NULL, producer TEXT NOT NULL, seq BIGINT NOT NULL, id TEXT NOT NULL,
        type TEXT NOT NULL, aggregate TEXT NOT NULL, version BIGINT NOT NULL, at BIGINT NOT NULL, payload BYTEA NOT NULL,
        headers TEXT NOT NULL, reason TEXT NOT NULL, attempts BIGINT NOT NULL, parked BIGINT NOT NULL,
        next_attempt_at BIGINT NOT NULL, PRIMARY KEY (consumer, producer, seq));
    CREATE INDEX dead_letter_aggregate ON dead_letter (consumer, producer, aggregate, seq);
    CREATE TABLE fence (
        id BIGINT PRIMARY KEY, head BIGINT NOT NULL, seen BIGINT NOT NULL, witness TEXT NOT NULL, evidence TEXT NOT NULL,
        at BIGINT NOT NULL);
    CREATE TABLE recovery (
        epoch BIGINT PRIMARY KEY, fork BIGINT NOT NULL, settled BIGINT NOT NULL, shift BIGINT NOT NULL, at BIGINT NOT NULL);
    CREATE TABLE abandoned (
        epoch BIGINT NOT NULL, seq BIGINT NOT NULL, digest BYTEA NOT NULL, PRIMARY KEY (epoch, seq));
    CREATE TABLE lease (
        name TEXT PRIMARY KEY, holder TEXT NOT NULL, renewal TEXT NOT NULL, millis BIGINT NOT NULL)",
};

/// The migrations of the chassis and of a context.
fn all(own: &[Migration]) -> impl Iterator<Item = &Migration> {
    MIGRATIONS.iter().chain(own)
}

/// Applies missing migrations: all or none, and one process at a time.
pub(super) async fn migrate(
    options: &PgConnectOptions,
    own: &[Migration],
) -> Result<(), StoreError> {
    let failed = |error| StatementError::of(error, StatementContext::default()).error;
    let connected = PgConnection::connect_with(options).await;
    let mut connection = connected.map_err(|error| StatementError::connecting(&error).error)?;
    apply(&mut connection, own).await.map_err(failed)?;
    connection.close().await.map_err(failed)
}

async fn apply(connection: &mut PgConnection, own: &[Migration]) -> Result<(), sqlx::Error> {
    // Creating an index may take long.
    connection
        .execute(
            "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;
             SELECT pg_advisory_xact_lock(hashtextextended(current_setting('search_path'), 20))",
        )
        .await?;
    let create = "SELECT format('CREATE SCHEMA IF NOT EXISTS %I', trim(both '\" ' from split_part(current_setting('search_path'), ',', 1)))
                WHERE current_schema() IS NULL";
    for row in connection.fetch_all(create).await? {
        let create: String = row.try_get(0)?;
        connection.execute(sqlx::AssertSqlSafe(create)).await?;
    }
    let table = "CREATE TABLE IF NOT EXISTS migration (name TEXT COLLATE \"C\" PRIMARY KEY, applied_at BIGINT NOT NULL)";
    connection.execute(table).await?;
    for migration in all(own) {
        let applied = sqlx::query("SELECT 1 FROM migration WHERE name = $1")
            .persistent(false)
            .bind(migration.name);
        if connection.fetch_optional(applied).await?.is_some() {
            continue;
        }
        let sql = bytewise(migration.sql);
        connection
            .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql)))
            .await?;
        let record = sqlx::query("INSERT INTO migration (name, applied_at) VALUES ($1, $2)")
            .persistent(false)
            .bind(migration.name)
            .bind(time::to_micros(Clock::System.now()));
        connection.execute(record).await?;
        tracing::info!(migration = migration.name, "applied");
    }
    connection.execute("COMMIT").await?;
    Ok(())
}

/// The migrations that are needed and missing.
pub(super) async fn state(conn: &mut dyn Conn, own: &[Migration]) -> Result<Schema, StoreError> {
    let sql = "SELECT 1 WHERE to_regclass('migration') IS NOT NULL";
    let applied = if conn.query(sql, args![]).await?.is_empty() {
        Vec::new()
    } else {
        conn.query("SELECT name FROM migration", args![]).await?
    };
    let applied: Vec<&str> = applied
        .iter()
        .map(|row| row.text(0))
        .collect::<Result<_, _>>()?;
    let needed: Vec<String> = all(own).map(|one| one.name.to_owned()).collect();
    let missing = needed
        .iter()
        .filter(|name| !applied.contains(&name.as_str()));
    Ok(Schema {
        missing: missing.cloned().collect(),
        needed,
    })
}

/// DDL in which texts are compared byte by byte, as in SQLite.
fn bytewise(ddl: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut done = String::with_capacity(ddl.len() * 2);
    for (index, part) in ddl.split('\'').enumerate() {
        if index > 0 {
            done.push('\'');
        }
        let mut rest = part;
        while let Some(start) = rest.find("TEXT").filter(|_| index % 2 == 0) {
            let (before, after) = rest.split_at(start);
            let after = after.strip_prefix("TEXT").unwrap_or(after);
            done.push_str(before);
            done.push_str("TEXT");
            if !before.ends_with(is_word) && !after.starts_with(is_word) {
                done.push_str(" COLLATE \"C\"");
            }
            rest = after;
        }
        done.push_str(rest);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_compared_bytewise() {
        assert_eq!(
            bytewise(
                "CREATE TABLE a (b TEXT PRIMARY KEY, TEXTURE BIGINT, c TEXT NOT NULL DEFAULT 'TEXT')"
            ),
            "CREATE TABLE a (b TEXT COLLATE \"C\" PRIMARY KEY, TEXTURE BIGINT, c TEXT COLLATE \"C\" NOT NULL DEFAULT 'TEXT')"
        );
    }
}
