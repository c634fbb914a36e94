//! The rules about members: pure functions, no clock, no chance, no password ever. A password is checked outside; what
//! comes in here is its hash, and whether it was the right one ([`values::Proof`]).

pub(crate) mod account;
pub(crate) mod keys;
#[cfg(test)]
mod properties;
pub(crate) mod revocation;
pub(crate) mod session;
pub(crate) mod values;

use chassis::Timestamp;

/// Why a command is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Nobody has this id, or nobody the caller may know of.
    #[error("no such member")]
    Unknown,
    /// Another member has the address.
    #[error("the e-mail address is in use")]
    EmailTaken,
    /// The id belongs to something else.
    #[error("the id was used with other content")]
    IdReused,
    /// Address or password are wrong, and nobody is told which.
    #[error("wrong e-mail address or password")]
    BadCredentials,
    /// Too many wrong passwords.
    #[error("too many wrong passwords; try again later")]
    TooManyAttempts {
        /// When the next try is listened to.
        until: Timestamp,
    },
    /// The member is shut out.
    #[error("the member is suspended")]
    Suspended,
    /// The password that was checked is not the member's password any more.
    #[error("somebody else was faster; try again")]
    Raced,
    /// The refresh token was exchanged before.
    #[error("the refresh token was used before, so its session has ended; sign in again")]
    TokenReused,
    /// There is no such session, or not any more.
    #[error("the session has ended; sign in again")]
    SessionEnded,
}
