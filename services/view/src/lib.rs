//! View keeps read models that show rooms and reservations together with their payments, messages and reviews. They are
//! built from the events of the other contexts, which are never called.
//!
//! ```text
//! commands    rpc: Rebuild
//! asks        none
//! events out  none
//! events in   message: MessageSent
//!             payment: PaymentDelayed, PaymentApproved, PaymentDeclined, PaymentCancelled
//!             reservation: ReservationRequested, ReservationApproved, ReservationPaymentPending, ReservationConfirmed,
//!             ReservationRejected, ReservationLapsed, ReservationCancelRequested, ReservationCancelled,
//!             ReservationCompleted, ReservationLost, ConfirmationMissed
//!             room: RoomRegistered, RoomModified, RoomDeleted, RoomReserved, RoomReleased,
//!             ReviewCreated, ReviewModified, ReviewDeleted
//! views       room_view (one row for each room); reservation, payment, review, notified (rows of customer pages;
//!             notified counts the messages to each recipient)
//! jobs        none
//! ```
//!
//! Events of one aggregate arrive in order, events of different aggregates in any order. The rows depend only on which
//! events were applied, not on how events of different aggregates were interleaved.

mod codec;
mod grpc;
mod rebuild;
mod views;

use chassis::{Context, Store, StoreError};

/// The view context.
pub fn context() -> Context {
    let context = Context::named("view").views(views::list(views::Target::Live), views::MIGRATIONS);
    let producers = context.listens_to();
    context.routes(move |deps| grpc::routes(deps, &producers))
}

/// SHA-256 over the rows of the live generation, in hex. For tests and checks: equal rows have equal digests.
pub async fn digest(store: &Store) -> Result<String, StoreError> {
    store
        .read(|conn| {
            Box::pin(async move {
                let live = views::generation::current(conn).await?.live;
                views::generation::digest(conn, live).await
            })
        })
        .await
}
