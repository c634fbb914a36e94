//! Why a recovery failed.

use chassis::{
    messaging::{bus::BusError, log_reader::LogError},
    store::{AsStoreError, StoreError},
};

use crate::report::Report;

/// Why a recovery failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RecoverError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A source failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A source failed.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// A source has no event in common with the log.
    #[error("the source has nothing in common with the log: event {0} differs")]
    OtherHistory(i64),
    /// The log has other events than others have seen, and no source shows since when.
    #[error(
        "no source shows which events were lost: give --from or the broker, or --fork with the last event before the loss"
    )]
    UnknownFork,
    /// Nothing was changed; the report says what would have been done.
    #[error("nothing was changed")]
    Only(Box<Report>),
}

impl AsStoreError for RecoverError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}
