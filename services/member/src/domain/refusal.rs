//! Why commands are refused.

use chassis::{Kind, Refused, Timestamp};

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// There is no such account, or the caller may not know of it.
    #[error("no such member")]
    Unknown,
    /// Another account has the address.
    #[error("the e-mail address is in use")]
    EmailTaken,
    /// The id exists with other content.
    #[error("the id is in use with other content")]
    IdReused,
    /// The address or the password is wrong. The error does not reveal which.
    #[error("wrong e-mail address or password")]
    BadCredentials,
    /// There were too many failed attempts on the address, or from the source.
    #[error("too many failed attempts; try again later")]
    TooManyAttempts {
        /// When the next attempt is accepted.
        until: Timestamp,
    },
    /// The member is suspended.
    #[error("the member is suspended")]
    Suspended,
    /// The account was changed after the password was checked against it.
    #[error("the account was changed at the same time; try again")]
    Conflict,
    /// The refresh token was exchanged before.
    #[error("the refresh token was exchanged before, so its session has ended; sign in again")]
    TokenReused,
    /// There is no such session, or it has ended.
    #[error("the session has ended; sign in again")]
    SessionEnded,
}

impl Refusal {
    /// The refusal of a failed attempt. It is the same whether or not the address has an account.
    pub(crate) fn wrong_password(limited_until: Option<Timestamp>) -> Self {
        limited_until.map_or(Self::BadCredentials, |until| Self::TooManyAttempts {
            until,
        })
    }

    /// Whether it refuses a failed attempt, which is counted.
    pub(crate) fn is_failed_attempt(&self) -> bool {
        matches!(self, Self::BadCredentials | Self::TooManyAttempts { .. })
    }
}

impl Refused for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::Unknown => Kind::NotFound,
            Self::EmailTaken | Self::IdReused => Kind::AlreadyExists,
            Self::TooManyAttempts { .. } => Kind::Exhausted,
            Self::Conflict => Kind::Aborted,
            Self::BadCredentials | Self::Suspended | Self::TokenReused | Self::SessionEnded => {
                Kind::Unauthenticated
            }
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Unknown => "NOT_FOUND",
            Self::EmailTaken => "EMAIL_TAKEN",
            Self::IdReused => "IDEMPOTENCY_KEY_REUSED",
            Self::BadCredentials => "BAD_CREDENTIALS",
            Self::TooManyAttempts { .. } => "TOO_MANY_ATTEMPTS",
            Self::Suspended => "MEMBER_SUSPENDED",
            Self::Conflict => "CONTENDED",
            Self::TokenReused => "TOKEN_REUSED",
            Self::SessionEnded => "SESSION_ENDED",
        }
    }
}
