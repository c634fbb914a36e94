//! Message notifies people about their reservations: in their inbox, and by e-mail if a mail server is configured. The
//! customer is notified of every change of status, the host of those that concern a host.
//!
//! ```text
//! commands    MarkMessageRead                                                                  (rpc)
//!             Notify                                                                           (policies)
//!             the outcome of an attempt to send an e-mail                                      (job)
//! asks        none
//! events out  MessageWritten, MessageRead (the inbox view is built from them), MessageSent
//! events in   reservation: every event but ReservationLost
//!             member, for the addresses: MemberJoined, MemberModified
//! views       inbox, address
//! jobs        send the e-mail of a message
//! ```

mod codec;
mod domain;
mod grpc;
mod jobs;
mod policies;
mod settings;
mod views;

use chassis::Context;

/// The message context.
pub fn context() -> Context {
    Context::named("message")
        .routes(grpc::routes)
        .policies(policies::list(true))
        .views(views::list(), views::MIGRATIONS)
        .publishes(codec::EVENTS)
        .jobs::<domain::Message, _, _>(jobs::send)
        .settings::<settings::Settings>()
        .tuned(|context, settings| {
            let by_email = settings
                .get::<settings::Settings>()
                .is_some_and(|email| email.server().is_some());
            context.policies(policies::list(by_email))
        })
}
