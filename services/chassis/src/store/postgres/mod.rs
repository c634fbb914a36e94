//! PostgreSQL: a command is one query and then one statement that is the whole transaction.
//!
//! The isolation level is READ COMMITTED. What must not be lost is guarded where it is written: by the version of the
//! aggregate, the key of the claim and the position of the cursor. A transaction that fails such a guard is retried.

mod backend;
mod batch;
mod cursor_move;
mod database;
mod error;
mod lease;
mod numbering;
mod operations;
mod pool;
mod renewals;
mod schema;
mod statement;
mod transaction;
mod values;

pub(crate) use self::database::Postgres;
