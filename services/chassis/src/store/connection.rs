//! The connection that both databases implement. Its SQL is the common subset of SQLite and PostgreSQL.

use futures::future::BoxFuture;

use crate::store::{
    error::StoreError,
    row::{Row, Value},
    write::Write,
};

/// The result of an operation of the store.
pub(crate) type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// A connection inside a transaction. Code that uses it must await nothing else: on SQLite it runs on the writer's
/// thread, on PostgreSQL it keeps a transaction open.
pub trait Conn: Send {
    /// Executes a statement and returns the number of rows that it changed.
    fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        args: Vec<Value>,
    ) -> BoxFuture<'a, Result<u64, StoreError>>;
    /// Executes a query and returns its rows.
    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        args: Vec<Value>,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>>;
    /// Executes a declared write. PostgreSQL defers it to the next query or to the end of the transaction, and sends
    /// deferred writes together; later statements and queries see what it wrote.
    fn write<'a>(
        &'a mut self,
        write: &'static Write,
        args: Vec<Value>,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
}
