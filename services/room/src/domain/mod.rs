//! The rules of rooms and reviews.
//!
//! ```text
//! Room    (none) ─Register→ Available ⇄ Reserved      Reserve, Release, Forgo: by reservation, from policies
//!                              └─Delete→ Deleted      refused while a reservation is open; later ones are honoured
//! Review  (none) ─Invite→ Invited ─Create→ Written ─Delete→ Deleted
//! ```

mod issuer;
mod recent;
mod refusal;
pub(crate) mod review;
pub(crate) mod room;
mod room_id;
pub(crate) mod terms;
#[cfg(test)]
mod tests;

pub(crate) use self::{issuer::By, review::Review, room::Room, room_id::RoomId};
