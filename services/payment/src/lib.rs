//! Payment charges and refunds the price of a reservation through a payment provider, and keeps the ledger. A payment
//! has the id of its reservation and the provider is called with that id as the idempotency key, so a reservation is
//! charged at most once. The intent is committed before the provider is called and the outcome after it; a job repeats
//! the call if the process crashed in between. The provider is simulated (`provider/script.rs` lists its tokens).
//!
//! ```text
//! commands    rpc: ChargePayment, ReceiveNotification
//!             policies: Request (charge), Refund
//! asks        none
//! events out  PaymentDelayed, PaymentApproved, PaymentDeclined, PaymentCancelled
//! events in   payment: PaymentDelayed, PaymentApproved, PaymentDeclined, PaymentCancelled
//!             reservation: ReservationApproved, ReservationCancelRequested, ConfirmationMissed, ReservationLost,
//!             ReservationCompleted, ReservationCancelled
//! views       payment_list, ledger
//! jobs        call the payment provider: charge, query, void, refund
//! ```

mod codec;
mod domain;
mod grpc;
mod jobs;
mod policies;
mod provider;
mod settings;
mod views;

use chassis::Context;

/// The payment context.
pub fn context() -> Context {
    Context::named("payment")
        .routes(grpc::routes)
        .policies(policies::list())
        .views(views::list(), views::MIGRATIONS)
        .publishes(codec::EVENTS)
        .claims::<domain::Payment>()
        .jobs::<domain::Payment, _, _>(jobs::run)
        .settings::<settings::Settings>()
}
