//! The rules of rooms and reviews.
//!
//! ```text
//! Room    (none) ─Register→ Available ⇄ Reserved      Reserve, Release: by reservation, from policies
//!                              └─Delete→ Deleted      refused while a reservation is open; later ones are honoured
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
    /// A room, which is also the id of its offer.
    RoomId,
}

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
    fn may_act_for(self, owner: MemberId) -> bool {
        self == Self::Operator || self == Self::Member(owner)
    }
}
