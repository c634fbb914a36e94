//! The store of a context: aggregates, claims, the event log and read models, changed in one transaction.

mod aggregates;
mod backend;
mod claim_formats;
mod claims;
mod connection;
mod cursor;
mod dead_letters;
mod error;
mod history;
mod log;
mod maintenance;
mod migration;
mod postgres;
pub mod projections;
mod queries;
mod recoveries;
pub mod restorer;
mod row;
mod settings;
mod sqlite;
#[expect(
    clippy::module_inception,
    reason = "the type that the layer is named after"
)]
mod store;
mod survey;
mod transaction;
mod unit_of_work;
mod write;
mod write_fence;

pub use self::{
    aggregates::Due,
    claim_formats::ClaimFormat,
    connection::Conn,
    dead_letters::DeadLetter,
    error::{AsStoreError, ExecuteError, StoreError},
    history::APPLIED,
    migration::{Migration, Schema},
    recoveries::Recovery,
    row::{Row, Value},
    settings::DatabaseSettings,
    store::{Store, StoreOptions},
    unit_of_work::{Done, UnitOfWork},
    write::Write,
    write_fence::WriteFence,
};
pub(crate) use self::{
    history::{CARRIED, READ},
    survey::Survey,
    transaction::Batch,
    unit_of_work::Subjects,
};
