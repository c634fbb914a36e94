//! How the log of a context is read, wherever that runs.

use std::fmt;

use futures::future::BoxFuture;

use crate::{
    domain::event::Recorded,
    store::{Store, TAKEN},
};

/// Reads the log of a context, wherever that runs.
pub trait LogReader: Send + Sync + fmt::Debug {
    /// Events after a sequence number, in order and without gaps, at most `limit`.
    fn read(&self, after: i64, limit: i64) -> BoxFuture<'_, Result<Vec<Recorded>, LogError>>;
    /// The last sequence number.
    fn head(&self) -> BoxFuture<'_, Result<i64, LogError>>;
    /// The same, for a consumer that has taken the events up to `seen`: the log's own context must know if it has fewer.
    fn seen(&self, _seen: i64, _consumer: &str) -> BoxFuture<'_, Result<i64, LogError>> {
        self.head()
    }
}

/// The log of another context cannot be read right now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("log unavailable: {0}")]
pub struct LogError(pub String);

impl LogReader for Store {
    fn read(&self, after: i64, limit: i64) -> BoxFuture<'_, Result<Vec<Recorded>, LogError>> {
        Box::pin(async move {
            self.log_after(after, limit)
                .await
                .map_err(|error| LogError(error.to_string()))
        })
    }

    fn head(&self) -> BoxFuture<'_, Result<i64, LogError>> {
        Box::pin(async move {
            Store::head(self)
                .await
                .map_err(|error| LogError(error.to_string()))
        })
    }

    fn seen(&self, seen: i64, consumer: &str) -> BoxFuture<'_, Result<i64, LogError>> {
        let consumer = consumer.to_owned();
        Box::pin(async move {
            Store::seen(self, seen, &consumer, TAKEN)
                .await
                .map_err(|error| LogError(error.to_string()))
        })
    }
}
