//! Why something was not done.

use crate::refusal::Refused;

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It cannot be used right now: disk full, read-only, connection lost. Nothing was changed, or the answer was lost.
    #[error("store unavailable: {0}")]
    Unavailable(String),
    /// Others were faster, several times in a row.
    #[error("store contended")]
    Contended,
    /// It can only be read, because its log has gone back: see [`Fence`](super::Fence).
    #[error("store fenced: {0}")]
    Fenced(String),
    /// A fault of ours.
    #[error("store bug: {0}")]
    Bug(String),
}

/// Why a command was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecuteError<R: Refused> {
    /// The domain said no.
    #[error(transparent)]
    Refused(R),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<R: Refused> ExecuteError<R> {
    /// The domain's "no", if that is what it was.
    pub fn refusal(&self) -> Option<&R> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Store(_) => None,
        }
    }
}

/// An error that may be the store's; a lost race among them is tried again.
pub trait AsStoreError {
    /// The store's error, if it is one.
    fn as_store_error(&self) -> Option<&StoreError>;
}

impl AsStoreError for StoreError {
    fn as_store_error(&self) -> Option<&StoreError> {
        Some(self)
    }
}

impl<R: Refused> AsStoreError for ExecuteError<R> {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Refused(_) => None,
        }
    }
}
