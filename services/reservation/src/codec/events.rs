//! The events that this context publishes, and the history that is read back from them.

use berth::reservation::v1;
use chassis::{EventType, Fact, Publish, Recorded, ReservationId, Versioned, base::time};
use prost::Message;

use super::{reservation::reservation, restore};
use crate::domain::{Event, Reservation, lost::Lost};

/// An event that carries the reservation after it.
pub(crate) trait CarriesReservation {
    /// The reservation.
    fn reservation(&self) -> Option<&v1::Reservation>;
}

macro_rules! events {
    ($($event:ident),+ $(,)?) => {
        /// The types of the published events.
        pub(crate) const EVENTS: &[EventType] = &[$(EventType::of::<v1::$event>()),+];

        $(impl CarriesReservation for v1::$event {
            fn reservation(&self) -> Option<&v1::Reservation> {
                self.reservation.as_ref()
            }
        })+
    };
}

events! {
    ReservationRequested,
    ReservationApproved,
    ReservationPaymentPending,
    ReservationConfirmed,
    ReservationRejected,
    ReservationLapsed,
    ReservationCancelRequested,
    ReservationCancelled,
    ReservationCompleted,
    ConfirmationMissed,
    ReservationLost,
}

impl Publish for Lost {
    fn facts(id: ReservationId, lost: &Lost, after: &Versioned<Self>) -> Vec<Fact> {
        let at = Some(time::to_proto(after.created));
        let reservation = v1::Reservation {
            reservation_id: id.to_string(),
            customer_id: lost.customer.to_string(),
            price: Some(lost.price.into()),
            status: v1::ReservationStatus::Cancelled.into(),
            reason: "LOST".to_owned(),
            version: after.version,
            create_time: at,
            update_time: at,
            ..v1::Reservation::default()
        };
        let fact = Fact::of(&v1::ReservationLost {
            reservation: Some(reservation),
            payment_id: lost.payment.to_string(),
        });
        vec![fact.about(id)]
    }
}

impl Publish for Reservation {
    fn facts(id: ReservationId, event: &Event, after: &Versioned<Self>) -> Vec<Fact> {
        let reservation = Some(reservation(id, after));
        let payment_method = || after.state.booking.request.payment_method.0.clone();
        let fact = match event {
            Event::Requested { .. } => Fact::of(&v1::ReservationRequested {
                reservation,
                payment_method: payment_method(),
                agreement: Some(restore::agreement(&after.state.booking)),
            }),
            Event::Approved { .. } => Fact::of(&v1::ReservationApproved {
                reservation,
                payment_method: payment_method(),
            }),
            Event::PaymentPending { give_up } => Fact::of(&v1::ReservationPaymentPending {
                reservation,
                give_up_time: Some(time::to_proto(*give_up)),
            }),
            Event::Confirmed { .. } => Fact::of(&v1::ReservationConfirmed { reservation }),
            Event::Rejected { why } => Fact::of(&v1::ReservationRejected {
                reservation,
                by: Some(restore::by(why)),
            }),
            Event::Lapsed => Fact::of(&v1::ReservationLapsed { reservation }),
            Event::CancelRequested { refund, .. } => Fact::of(&v1::ReservationCancelRequested {
                reservation,
                refund: Some((*refund).into()),
            }),
            Event::Cancelled { .. } | Event::Refunded => {
                Fact::of(&v1::ReservationCancelled { reservation })
            }
            Event::Completed => Fact::of(&v1::ReservationCompleted { reservation }),
            Event::ConfirmationMissed { payment } => Fact::of(&v1::ConfirmationMissed {
                reservation,
                payment_id: payment.to_string(),
            }),
        };
        vec![fact.about(id)]
    }
}

/// An entry of the history. Field 1 of every event is the reservation after it, so one type decodes them all.
pub(crate) fn entry(event: Recorded) -> Result<v1::HistoryEntry, prost::DecodeError> {
    let carried = v1::ReservationConfirmed::decode(event.data)?
        .reservation
        .unwrap_or_default();
    Ok(v1::HistoryEntry {
        time: Some(time::to_proto(event.at)),
        event_type: event.event_type,
        status: carried.status,
        actor: event.cause.actor,
        reason: carried.reason,
        version: event.version,
    })
}
