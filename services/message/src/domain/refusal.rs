//! Why commands are refused.

use chassis::{Kind, Refused};

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("no such message")]
    Unknown,
}

impl Refused for Refusal {
    fn kind(&self) -> Kind {
        Kind::NotFound
    }

    fn reason(&self) -> &'static str {
        "NOT_FOUND"
    }
}
