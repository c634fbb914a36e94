//! Room keeps rooms sold by the night, meeting rooms sold by the hour, and reviews of completed stays. It does not
//! decide who gets a room; `reservation` does, by a claim. A room records its confirmed reservations afterwards, and a
//! deleted room still records those that were sold before.
//!
//! ```text
//! commands    rpc: RegisterRoom, ModifyRoom, DeleteRoom, CreateReview, ModifyReview, DeleteReview
//!             policies: Reserve, Release, CountReview (room), Invite (review)
//! asks        none
//! events out  RoomRegistered, RoomModified, RoomDeleted, RoomReserved, RoomReleased,
//!             ReviewCreated, ReviewModified, ReviewDeleted
//! events in   reservation: ReservationConfirmed, ReservationCancelRequested, ReservationCancelled,
//!             ReservationCompleted
//!             room: RoomRegistered, RoomDeleted, ReviewCreated, ReviewModified, ReviewDeleted
//! views       room_listing, review_listing
//! jobs        none
//! ```

mod codec;
mod domain;
mod grpc;
mod policies;
mod views;

use chassis::Context;

/// The room context.
pub fn context() -> Context {
    Context::named("room")
        .routes(grpc::routes)
        .policies(policies::list())
        .views(views::list(), views::MIGRATIONS)
        .publishes(codec::EVENTS)
}
