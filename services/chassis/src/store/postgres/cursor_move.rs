//! A consumer's cursor on its way to the database.

use crate::{
    domain::{consumer_name::ConsumerName, log_id::LogId, position::Position},
    store::transaction::Batch,
};

/// A move of a consumer's cursor.
#[derive(Debug)]
pub(super) struct CursorMove {
    pub(super) consumer: ConsumerName,
    pub(super) producer: LogId,
    pub(super) from: i64,
    pub(super) to: Position,
}

impl From<Batch<'_>> for CursorMove {
    fn from(batch: Batch<'_>) -> Self {
        Self {
            consumer: batch.consumer.clone(),
            producer: batch.producer.clone(),
            from: batch.from,
            to: batch.to,
        }
    }
}
