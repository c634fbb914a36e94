//! Reading the log of a context that runs in this process or in another one.

use std::fmt;

use futures::future::BoxFuture;

use crate::{
    domain::{
        consumer_name::ConsumerName,
        event::Recorded,
        position::{Position, Reported},
    },
    store::{APPLIED, Store, StoreError},
};

/// Reads the log of a context.
pub trait LogReader: Send + Sync + fmt::Debug {
    /// Returns events after a sequence number, in order and without gaps, at most `limit`.
    fn read(&self, after: i64, limit: i64) -> BoxFuture<'_, Result<Vec<Recorded>, LogError>>;
    /// Returns the position of the last event.
    fn high_water_mark(&self) -> BoxFuture<'_, Result<Position, LogError>>;
    /// Reports the cursor of a consumer. If the log does not have its history, the log has lost events and its store is
    /// fenced.
    fn report_cursor(
        &self,
        _cursor: Position,
        _consumer: &ConsumerName,
    ) -> BoxFuture<'_, Result<Reported, LogError>> {
        Box::pin(async move {
            Ok(Reported {
                high_water_mark: self.high_water_mark().await?,
                resume: None,
            })
        })
    }
}

/// The log of a context is unavailable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("log unavailable: {0}")]
pub struct LogError(pub String);

impl From<StoreError> for LogError {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

impl LogReader for Store {
    fn read(&self, after: i64, limit: i64) -> BoxFuture<'_, Result<Vec<Recorded>, LogError>> {
        Box::pin(async move { Ok(self.log_after(after, limit).await?) })
    }

    fn high_water_mark(&self) -> BoxFuture<'_, Result<Position, LogError>> {
        Box::pin(async move { Ok(Store::high_water_mark(self).await?) })
    }

    fn report_cursor(
        &self,
        cursor: Position,
        consumer: &ConsumerName,
    ) -> BoxFuture<'_, Result<Reported, LogError>> {
        let consumer = consumer.clone();
        Box::pin(async move { Ok(self.compare(cursor, consumer.as_str(), APPLIED).await?) })
    }
}
