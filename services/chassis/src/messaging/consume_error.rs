//! Why a step of a consumer failed.

use crate::{
    base::faults::Injected,
    messaging::{log_reader::LogError, policies::ReactError},
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
    /// An event could not be applied; the transaction is rolled back.
    #[error("an event could not be applied: {0}")]
    EventFailed(String),
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

impl From<ReactError> for ConsumeError {
    fn from(error: ReactError) -> Self {
        match error.store_fault() {
            Some(fault) => fault.into(),
            None => Self::EventFailed(error.to_string()),
        }
    }
}

impl ConsumeError {
    /// Why an event failed, if the transaction failed because of its events and not because of the store.
    ///
    /// A failed statement may show only at the commit, as a bug. Contention that lasts over all attempts of a transaction
    /// is the fault of the event too: its command claims what it has not read, and would fail for ever.
    pub(super) fn event_failure(&self) -> Option<String> {
        match self {
            Self::EventFailed(reason) => Some(reason.clone()),
            Self::Store(error @ (StoreError::Bug(_) | StoreError::Contended)) => {
                Some(error.to_string())
            }
            _ => None,
        }
    }
}
