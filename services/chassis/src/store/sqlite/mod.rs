//! SQLite: one writer thread that commits queued jobs together, and readers beside it.

mod connection;
mod database;
mod digest;
mod schema;
mod writer;

pub(crate) use self::database::Sqlite;
