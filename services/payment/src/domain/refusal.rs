//! Why commands are refused.

use chassis::{Kind, Refused};

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("no such payment")]
    Unknown,
    #[error("the payment was requested with other content")]
    OtherContent,
    #[error("the refund has another currency than the charge")]
    OtherCurrency,
    #[error("too many notifications about unknown payments")]
    TooManyNotices,
}

impl Refused for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::Unknown => Kind::NotFound,
            Self::OtherContent => Kind::AlreadyExists,
            Self::OtherCurrency => Kind::Precondition,
            Self::TooManyNotices => Kind::Exhausted,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Unknown => "NOT_FOUND",
            Self::OtherContent => "IDEMPOTENCY_KEY_REUSED",
            Self::OtherCurrency => "CURRENCY_MISMATCH",
            Self::TooManyNotices => "TOO_MANY_NOTIFICATIONS",
        }
    }
}
