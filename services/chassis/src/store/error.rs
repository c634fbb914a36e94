//! Why something was not done.

use tonic::{Code, Status};

use crate::error::{
    refusal::{Kind, Refused},
    status::{coded, internal, refused, status, unavailable},
};

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
                "somebody else was faster; try again",
            ),
            // When it is recovered nobody can promise.
            StoreError::Fenced(_) => coded(
                Code::Unavailable,
                "LOG_REGRESSED",
                "nothing can be changed until what was lost is recovered; what is there can be read",
            ),
            StoreError::Bug(cause) => internal(&cause),
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
