//! Message: what people are told about their reservations, in their inbox and by e-mail.
//!
//! ```text
//! commands  MarkMessageRead (rpc) · Tell (policies) · how an e-mail fared (job)
//! emits     MessageWritten, MessageRead (the inbox lives on them) · MessageSent
//! listens   reservation.* : the customer is told of every change of status, the host of those that concern them
//!           member.MemberJoined/MemberModified : where an e-mail goes
//! views     inbox, address
//! ```

mod codec;
mod domain;
mod grpc;
mod jobs;
mod policies;
mod views;

use chassis::Context;

/// The context.
pub fn context() -> Context {
    Context::named("message")
        .routes(grpc::routes)
        .policies(policies::list(true))
        .views(views::list(), views::MIGRATIONS)
        .publishes(codec::EVENTS)
        .jobs::<domain::Message, _, _>(jobs::send)
        .settings::<jobs::Settings>()
        .tuned(|context, settings| {
            let by_email = settings
                .get::<jobs::Settings>()
                .is_some_and(|post| post.has_server());
            context.policies(policies::list(by_email))
        })
}
