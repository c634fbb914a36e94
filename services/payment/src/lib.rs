//! Payment: the money of a reservation, through a payment provider.
//!
//! ```text
//! commands   ChargePayment, ReceiveNotification              (rpc)   charge, refund (policies)
//! emits      PaymentDelayed, PaymentApproved, PaymentDeclined, PaymentCancelled
//! listens    reservation: ReservationApproved, ReservationCancelRequested, ConfirmationMissed, ReservationLost;
//!            ReservationCompleted, ReservationCancelled (the ledger)
//! views      payment_list, ledger
//! ```
//!
//! A reservation is charged at most once: the payment has its id, and the provider is asked under that id however often
//! it is asked. What is to be asked is on disk before, what it answered after; a crash in between is found out by the
//! job. The provider is simulated, and the payment method says what it does (`provider/script.rs`).

mod codec;
mod domain;
mod grpc;
mod jobs;
mod policies;
mod provider;
mod settings;
mod signature;
mod views;

use chassis::Context;

/// The payment context.
pub fn context() -> Context {
    Context::named("payment")
        .routes(grpc::routes)
        .policies(policies::list())
        .views(views::list(), views::MIGRATIONS)
        .publishes(codec::EVENTS)
        .jobs::<domain::Payment, _, _>(jobs::run)
        .settings::<settings::PaymentSettings>()
}
