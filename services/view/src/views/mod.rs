//! The read models: projections, queries, generations.
//!
//! Every row belongs to a generation. Queries read the live generation. A rebuild writes a new generation beside it and
//! then makes that one live.

pub(crate) mod generation;
mod list;
mod projections;
pub(crate) mod queries;
mod rows;
mod writes;

use chassis::store::Migration;

pub(crate) use self::{list::list, rows::Target};

pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_views",
    sql: include_str!("../../migrations/0001_views.sql"),
}];
