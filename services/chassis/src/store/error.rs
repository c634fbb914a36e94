//! Errors of the store.

use tonic::{Code, Status};

use crate::error::{
    refusal::{Kind, Refused},
    status::{coded, internal, refused, status, unavailable},
};

/// Why an operation of the store failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It cannot be used right now: disk full, read-only, connection lost. Nothing was changed, or the result was lost.
    #[error("store unavailable: {0}")]
    Unavailable(String),
    /// Optimistic conflicts with other transactions, several times in a row.
    #[error("store contended")]
    Contended,
    /// It is read-only because its log has lost its end: see [`WriteFence`](super::WriteFence).
    #[error("store fenced: {0}")]
    Fenced(String),
    /// Claims have another format than those of this program, or cannot be made anew in its format.
    #[error("{0}")]
    Claims(String),
    /// A fault of this program.
    #[error("store bug: {0}")]
    Bug(String),
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecuteError<R: Refused> {
    /// The domain refused it.
    #[error(transparent)]
    Refused(R),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<R: Refused> ExecuteError<R> {
    /// The refusal, if it was one.
    pub fn refusal(&self) -> Option<&R> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Store(_) => None,
        }
    }
}

/// An error that may contain a store error. A transaction is retried if that is `Contended`.
pub trait AsStoreError {
    /// The store error, if it is one.
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

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(cause) => {
                tracing::warn!(error = %cause, "store unavailable");
                unavailable("STORE_UNAVAILABLE", "the store cannot be used right now")
            }
            StoreError::Contended => status(
                Kind::Aborted,
                "CONTENDED",
                "optimistic conflict with another transaction; try again",
            ),
            // Without RetryInfo: a recovery has no known end.
            StoreError::Fenced(_) => coded(
                Code::Unavailable,
                "LOG_REGRESSED",
                "the store is read-only until lost events are recovered",
            ),
            StoreError::Claims(cause) | StoreError::Bug(cause) => internal(&cause),
        }
    }
}

impl<R: Refused> From<ExecuteError<R>> for Status {
    fn from(error: ExecuteError<R>) -> Self {
        match error {
            ExecuteError::Refused(refusal) => {
                tracing::debug!(reason = refusal.reason(), "refused");
                refused(&refusal)
            }
            ExecuteError::Store(error) => error.into(),
        }
    }
}
