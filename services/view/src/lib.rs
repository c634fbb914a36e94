//! View: everything on one screen, from the events of the other contexts and never asking them.
//!
//! ```text
//! commands  Rebuild (rpc)
//! emits     nothing
//! listens   room.Room*/Review* · reservation.* · payment.* · message.MessageSent
//! views     room_view (a room on one line) · reservation, payment, review, told (a customer's page)
//! ```
//!
//! Events of one aggregate come in order, those of different ones in any order: what a line shows depends only on which
//! events have come, never on how they were mixed.

mod codec;
mod grpc;
mod rebuild;
mod views;

use chassis::{Context, Store, StoreError};

/// The context.
pub fn context() -> Context {
    Context::named("view")
        .routes(grpc::routes)
        .views(views::list(views::Target::Live), views::MIGRATIONS)
}

/// SHA-256 over the rows that are shown now, hex. For checks: the same events make the same digest.
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
