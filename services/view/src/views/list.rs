//! The list of projections: which event is written by which function.

use berth::{
    payment::v1::{PaymentApproved, PaymentDeclined, PaymentDelayed},
    reservation::v1::{
        ConfirmationMissed, ReservationApproved, ReservationCancelRequested, ReservationCancelled,
        ReservationCompleted, ReservationConfirmed, ReservationLapsed, ReservationPaymentPending,
        ReservationRejected, ReservationRequested,
    },
    room::v1::{ReviewCreated, ReviewModified, RoomModified, RoomRegistered},
};
use chassis::{
    Received, StoreError, Views,
    store::{Conn, projections::Projection},
};
use futures::{FutureExt, future::BoxFuture};

use super::{
    projections::{
        message_sent, payment, payment_cancelled, reservation, reservation_lost, review,
        review_deleted, room, room_deleted, room_released, room_reserved,
    },
    rows::{Rows, Target},
};

/// The projections, writing to a target.
pub(crate) fn list(target: Target) -> Views {
    Views::new()
        .on(Into(target, room::<RoomRegistered>))
        .on(Into(target, room::<RoomModified>))
        .on(Into(target, room_deleted))
        .on(Into(target, room_reserved))
        .on(Into(target, room_released))
        .on(Into(target, review::<ReviewCreated>))
        .on(Into(target, review::<ReviewModified>))
        .on(Into(target, review_deleted))
        .on(Into(target, reservation::<ReservationRequested>))
        .on(Into(target, reservation::<ReservationApproved>))
        .on(Into(target, reservation::<ReservationPaymentPending>))
        .on(Into(target, reservation::<ReservationConfirmed>))
        .on(Into(target, reservation::<ReservationRejected>))
        .on(Into(target, reservation::<ReservationLapsed>))
        .on(Into(target, reservation::<ReservationCancelRequested>))
        .on(Into(target, reservation::<ReservationCancelled>))
        .on(Into(target, reservation::<ReservationCompleted>))
        .on(Into(target, reservation::<ConfirmationMissed>))
        .on(Into(target, reservation_lost))
        .on(Into(target, payment::<PaymentDelayed>))
        .on(Into(target, payment::<PaymentApproved>))
        .on(Into(target, payment::<PaymentDeclined>))
        .on(Into(target, payment_cancelled))
        .on(Into(target, message_sent))
}

/// A projection that writes to a target.
#[derive(Clone, Copy)]
struct Into<P>(Target, P);

impl<'c, E, P, Shown> Projection<'c, E> for Into<P>
where
    E: Send + 'static,
    P: Fn(Rows<'c>, Received<E>) -> Shown + Copy + Send + Sync + 'static,
    Shown: Future<Output = Result<(), StoreError>> + Send + 'c,
{
    type Shown = BoxFuture<'c, Result<(), StoreError>>;

    fn show(&self, conn: &'c mut dyn Conn, received: Received<E>) -> Self::Shown {
        let Self(target, project) = *self;
        project(Rows { conn, target }, received).boxed()
    }
}
