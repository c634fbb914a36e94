//! The id of a room.

chassis::id! {
    /// A room, which is also the id of its offer.
    RoomId,
}
