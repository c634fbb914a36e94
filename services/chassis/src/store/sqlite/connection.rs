//! A SQLite connection and its errors.

use futures::{FutureExt, future::BoxFuture};
use rusqlite::{
    CachedStatement, Connection, ErrorCode,
    types::{ToSqlOutput, ValueRef},
};

use crate::{
    domain::aggregate::ClaimRange,
    store::{
        aggregates, claims,
        connection::{Conn, StoreFuture},
        cursor,
        error::StoreError,
        row::{Row, Value},
        transaction::{AggregateChange, Batch, Found, Transaction},
        write::Write,
    },
};

/// A SQLite connection. Everything it awaits is ready at once.
#[derive(Debug)]
pub(super) struct SqliteConnection {
    pub(super) sql: Connection,
    /// Whether the current job has written.
    pub(super) wrote: bool,
}

impl From<Connection> for SqliteConnection {
    fn from(sql: Connection) -> Self {
        Self { sql, wrote: false }
    }
}

impl SqliteConnection {
    pub(super) fn run(&mut self, sql: &str) -> Result<(), StoreError> {
        self.sql
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map(|_| ())
            .map_err(store_error)
    }

    fn execute_now(&self, sql: &str, args: &[Value]) -> rusqlite::Result<u64> {
        let mut statement = self.sql.prepare_cached(sql)?;
        bind(&mut statement, args)?;
        let rows = statement.raw_execute()?;
        Ok(u64::try_from(rows).unwrap_or(u64::MAX))
    }

    fn query_now(&self, sql: &str, args: &[Value]) -> rusqlite::Result<Vec<Row>> {
        let mut statement = self.sql.prepare_cached(sql)?;
        let columns = statement.column_count();
        bind(&mut statement, args)?;
        let mut rows = statement.raw_query();
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let values = (0..columns)
                .map(|column| {
                    Ok(match row.get_ref(column)? {
                        ValueRef::Null => Value::Text(None),
                        ValueRef::Integer(value) => Value::Int(Some(value)),
                        ValueRef::Real(value) => Value::Real(Some(value)),
                        ValueRef::Text(value) => {
                            Value::Text(Some(String::from_utf8_lossy(value).into_owned()))
                        }
                        ValueRef::Blob(value) => Value::Blob(Some(value.to_vec())),
                    })
                })
                .collect::<rusqlite::Result<_>>()?;
            found.push(Row::new(values));
        }
        Ok(found)
    }
}

/// Binds `$1` to the first value and so on. To SQLite `$1` is a name, numbered by where it first appears.
fn bind(statement: &mut CachedStatement<'_>, args: &[Value]) -> rusqlite::Result<()> {
    for index in 1..=statement.parameter_count() {
        let name = statement
            .parameter_name(index)
            .and_then(|name| name.strip_prefix('$'));
        let number = name
            .and_then(|name| name.parse::<usize>().ok())
            .unwrap_or(index);
        let value = args
            .get(number.wrapping_sub(1))
            .ok_or(rusqlite::Error::InvalidParameterCount(args.len(), number))?;
        statement.raw_bind_parameter(index, value)?;
    }
    Ok(())
}

impl Conn for SqliteConnection {
    fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        args: Vec<Value>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        self.wrote = true;
        std::future::ready(self.execute_now(sql, &args).map_err(store_error)).boxed()
    }

    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        args: Vec<Value>,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        std::future::ready(self.query_now(sql, &args).map_err(store_error)).boxed()
    }

    fn write<'a>(
        &'a mut self,
        write: &'static Write,
        args: Vec<Value>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.wrote = true;
        let done = self.execute_now(&write.sql(), &args).map(|_| ());
        std::future::ready(done.map_err(store_error)).boxed()
    }
}

impl Transaction for SqliteConnection {
    fn find<'a>(
        &'a mut self,
        kind: &'static str,
        id: &'a str,
        ranges: &'a [ClaimRange],
    ) -> StoreFuture<'a, Found> {
        aggregates::find(self, kind, id, ranges).boxed()
    }

    fn held_by_others<'a>(
        &'a mut self,
        ranges: &'a [ClaimRange],
        owner: &'a str,
    ) -> StoreFuture<'a, Vec<Vec<String>>> {
        claims::held_by_others(self, ranges, owner).boxed()
    }

    fn save(&mut self, change: AggregateChange) -> StoreFuture<'_, ()> {
        aggregates::save(self, change).boxed()
    }

    fn advance<'a>(&'a mut self, batch: Batch<'a>) -> StoreFuture<'a, Option<Vec<String>>> {
        cursor::begin_batch(self, batch).boxed()
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Int(Some(value)) => ValueRef::Integer(*value),
            Self::Real(Some(value)) => ValueRef::Real(*value),
            Self::Text(Some(value)) => ValueRef::Text(value.as_bytes()),
            Self::Blob(Some(value)) => ValueRef::Blob(value),
            Self::Int(None) | Self::Real(None) | Self::Text(None) | Self::Blob(None) => {
                ValueRef::Null
            }
        }))
    }
}

pub(super) fn awaited() -> StoreError {
    StoreError::Bug("a job awaited something other than its connection".into())
}

/// Faults of the disk or the file may be temporary; anything else is a bug.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn store_error(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DiskFull
            | ErrorCode::ReadOnly
            | ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::CannotOpen
            | ErrorCode::OutOfMemory
            | ErrorCode::OperationInterrupted
            | ErrorCode::PermissionDenied,
        ) => StoreError::Unavailable(error.to_string()),
        _ => StoreError::Bug(error.to_string()),
    }
}
