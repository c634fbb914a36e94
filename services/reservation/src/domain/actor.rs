//! The issuer of a command.

use chassis::MemberId;

/// The issuer of a command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Actor {
    pub(crate) member: MemberId,
    /// Whether they operate the platform.
    pub(crate) operator: bool,
}
