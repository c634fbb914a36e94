//! The rules about rooms and reviews.
//!
//! ```text
//! Room    (none) ─Register→ Available ⇄ Reserved      Reserve, Release: by reservation, from policies
//!                              └─Delete→ Deleted      refused while a reservation is open; those that come are honoured
//! Review  (none) ─Invite→ Invited ─Create→ Written ─Delete→ Deleted
//! ```

mod recent;
pub(crate) mod review;
pub(crate) mod room;
pub(crate) mod terms;
#[cfg(test)]
mod tests;

use chassis::MemberId;

pub(crate) use self::{review::Review, room::Room};

chassis::id! {
    /// A room; also the id of its offer.
    RoomId,
}

/// On whose behalf something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// A member.
    Member(MemberId),
    /// Who operates the platform.
    Operator,
}

impl By {
    /// Whether they may do as they like with what belongs to `owner`.
    fn may_act_for(self, owner: MemberId) -> bool {
        self == Self::Operator || self == Self::Member(owner)
    }
}
