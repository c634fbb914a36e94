//! Why a step of a consumer failed.

use crate::{
    base::faults::Injected,
    messaging::log_reader::LogError,
    store::{AsStoreError, StoreError},
};

/// Why a step of a consumer failed. The next step continues where it stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsumeError {
    /// The consumer's own store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The producer's log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Another replica has moved the cursor.
    #[error("the cursor has been moved by another replica")]
    Fenced,
    /// The producer's log has another history than this consumer has applied.
    #[error("the log has another history")]
    OtherHistory,
    /// An event failed in a batch without savepoints; the batch is rolled back.
    #[error("an event of the batch failed")]
    EventFailed,
    /// A fault injected by a test.
    #[error(transparent)]
    Fault(#[from] Injected),
}

impl AsStoreError for ConsumeError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}
