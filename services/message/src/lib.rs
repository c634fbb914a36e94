//! Message notifies people about their reservations: in their inbox, and by e-mail if a mail server is configured. The
//! customer is notified of every change of status, the host of those that concern a host.
//!
//! ```text
//! commands    rpc: MarkMessageRead
//!             policies: Notify
//!             job: EmailDelivered, EmailFailed, AddressUnknown, LeaveEmailOut
//! asks        none
//! events out  MessageWritten, MessageRead, MessageSent
//! events in   member: MemberJoined, MemberModified
//!             message: MessageWritten, MessageRead
//!             reservation: all events except ReservationLost
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
