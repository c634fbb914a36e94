//! Reservation decides who gets what is offered, and runs the booking process around that decision: request, payment,
//! approval, cancellation, completion. It is a core context: it accepts bookings while any other context is down.
//!
//! ```text
//! commands    rpc: RequestReservation, PayReservation, ApproveReservation, RejectReservation, CancelReservation
//!             policies: Confirm, Decline, AwaitPayment, Refunded
//!             deadline: Due (lapse or complete)
//! asks        the owner of the offer: OfferService.GetOffer, with the replica of offers as the fallback
//!             payment: PaymentService.ChargePayment
//! events out  ReservationRequested, ReservationApproved, ReservationPaymentPending, ReservationConfirmed,
//!             ReservationRejected, ReservationLapsed, ReservationCancelRequested, ReservationCancelled,
//!             ReservationCompleted, ReservationLost, ConfirmationMissed
//! events in   payment: PaymentApproved, PaymentDeclined, PaymentDelayed, PaymentCancelled
//!             reservation: all events except ReservationLost and ConfirmationMissed
//!             room: RoomRegistered, RoomModified, RoomDeleted
//! views       reservation_list, offer_replica
//! jobs        none
//! ```

mod clients;
mod codec;
mod domain;
mod grpc;
mod policies;
mod settings;
#[cfg(test)]
mod tests;
mod views;

use chassis::Context;

/// The reservation context.
pub fn context() -> Context {
    Context::named("reservation")
        .routes(grpc::routes)
        .policies(policies::list())
        .views(views::list(), views::MIGRATIONS)
        .publishes(codec::EVENTS)
        .claims::<domain::Reservation>()
        .deadlines::<domain::Reservation>()
        .restores::<domain::Reservation>()
        .settings::<settings::Settings>()
}
