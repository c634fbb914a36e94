//! Room: places to stay by the night and meeting rooms by the hour, and what guests say about them.
//!
//! ```text
//! commands  RegisterRoom, ModifyRoom, DeleteRoom, CreateReview, ModifyReview, DeleteReview   (rpc)
//!           reserve, release, count reviews, invite a review                                 (policies)
//! emits     RoomRegistered, RoomModified, RoomDeleted, RoomReserved, RoomReleased,
//!           ReviewCreated, ReviewModified, ReviewDeleted
//! listens   reservation: ReservationConfirmed, ReservationCancelRequested, ReservationCancelled, ReservationCompleted;
//!           room: ReviewCreated, ReviewModified, ReviewDeleted
//! views     room_listing, review_listing
//! ```
//!
//! A room does not decide who gets it: that is a claim in `reservation`. It is told afterwards, and an offer that is
//! deleted honours what was sold.

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
