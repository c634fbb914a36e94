//! The issuer of a command, and what they may change.

use chassis::MemberId;

/// The issuer of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// A member.
    Member(MemberId),
    /// An operator of the platform.
    Operator,
}

impl By {
    /// Whether the issuer may change what belongs to `owner`.
    pub(super) fn may_act_for(self, owner: MemberId) -> bool {
        self == Self::Operator || self == Self::Member(owner)
    }
}
