//! Reading the log of a context that runs in this process or in another one.

use std::fmt;

use futures::future::BoxFuture;

use crate::{
    domain::event::Recorded,
    store::{Store, StoreError, TAKEN},
};

/// Reads the log of a context.
pub trait LogReader: Send + Sync + fmt::Debug {
    /// Returns events after a sequence number, in order and without gaps, at most `limit`.
    fn read(&self, after: i64, limit: i64) -> BoxFuture<'_, Result<Vec<Recorded>, LogError>>;
    /// Returns the last sequence number.
    fn head(&self) -> BoxFuture<'_, Result<i64, LogError>>;
    /// Reports the cursor of a consumer and returns the last sequence number. If the log ends before the cursor, it has
    /// lost events and its store is fenced.
    fn report_cursor(&self, _cursor: i64, _consumer: &str) -> BoxFuture<'_, Result<i64, LogError>> {
        self.head()
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

    fn head(&self) -> BoxFuture<'_, Result<i64, LogError>> {
        Box::pin(async move { Ok(Store::head(self).await?) })
    }

    fn report_cursor(&self, cursor: i64, consumer: &str) -> BoxFuture<'_, Result<i64, LogError>> {
        let consumer = consumer.to_owned();
        Box::pin(async move { Ok(self.seen(cursor, &consumer, TAKEN).await?) })
    }
}
