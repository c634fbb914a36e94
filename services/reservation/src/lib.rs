//! Reservation: a customer's claim on something that is offered, and the booking process around it. A core context: it
//! takes bookings whatever else is down.
//!
//! | | |
//! |---|---|
//! | commands | Request, Pay, Approve, Reject, Cancel (rpc); Confirm, Decline, AwaitPayment, Refunded (policies); Due (time) |
//! | asks | the owner of the offer (`OfferService.GetOffer`, falling back on the replica), `payment` (`ChargePayment`) |
//! | events out | ReservationRequested, …Approved, …PaymentPending, …Confirmed, …Rejected, …Lapsed, …CancelRequested, …Cancelled, …Completed, …Lost, ConfirmationMissed |
//! | events in | `payment`: PaymentApproved, PaymentDeclined, PaymentDelayed, PaymentCancelled; `room`: RoomRegistered, RoomModified, RoomDeleted |
//! | views | the list of reservations; the replica of offers |

mod clients;
mod codec;
mod domain;
mod grpc;
mod policies;
#[cfg(test)]
mod racers;
mod settings;
mod views;

use chassis::Context;

/// The context.
pub fn context() -> Context {
    Context::named("reservation")
        .routes(grpc::routes)
        .policies(policies::list())
        .views(views::list(), views::MIGRATIONS)
        .publishes(codec::EVENTS)
        .deadlines::<domain::Reservation>()
        .restores::<domain::Reservation>()
        .settings::<settings::Settings>()
}
