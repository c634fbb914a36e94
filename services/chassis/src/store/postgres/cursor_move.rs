//! A consumer's cursor on its way to the database.

use crate::{domain::position::Position, store::transaction::Batch};

/// A move of a consumer's cursor.
#[derive(Debug)]
pub(super) struct CursorMove {
    pub(super) consumer: String,
    pub(super) producer: String,
    pub(super) from: i64,
    pub(super) to: Position,
}

impl From<Batch<'_>> for CursorMove {
    fn from(batch: Batch<'_>) -> Self {
        Self {
            consumer: batch.consumer.to_owned(),
            producer: batch.producer.to_owned(),
            from: batch.from,
            to: batch.to,
        }
    }
}
