//! Restores the domain events of a reservation from its published events, so that its state can be rebuilt from the log.

use berth::{
    offer::v1::CancellationTier,
    reservation::v1::{self, Agreement, reservation_rejected::By},
};
use chassis::{Money, Recorded, Restore, Violations, base::time};
use prost::{Message, Name};

use super::period::period;
use crate::domain::{
    Event, Reservation,
    booking::{Booking, BookingRequest, PaymentMethod},
    refund::Tier,
    status::{Rejection, Status},
    terms::{Approval, OfferKind, Stay},
};

/// The part of the agreement that the reservation message does not show.
pub(super) fn agreement(booking: &Booking) -> Agreement {
    let number = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    let tiers = booking.tiers.iter().map(|tier| CancellationTier {
        hours_before: number(tier.hours_before),
        refund_percent: number(tier.percent),
    });
    Agreement {
        cancellation_tiers: tiers.collect(),
        place: number(booking.customer_slot),
        hold: Some(time::duration_to_proto(booking.hold)),
    }
}

/// Who rejected it, and why.
pub(super) fn by(why: &Rejection) -> By {
    match why {
        Rejection::ByHost(reason) => By::Host(reason.clone()),
        Rejection::PaymentDeclined(reason) => By::PaymentProvider(reason.clone()),
    }
}

impl Restore for Reservation {
    fn restores_from(event_type: &str) -> bool {
        event_type != v1::ReservationLost::full_name()
    }

    fn event(recorded: &Recorded, before: Option<&Self>) -> Option<Event> {
        if recorded.event_type == v1::ReservationRequested::full_name() {
            return requested(&read(recorded)?);
        }
        let before = before?;
        let after = || read::<v1::ReservationConfirmed>(recorded)?.reservation;
        Some(
            match recorded.event_type.strip_prefix("berth.reservation.v1.")? {
                "ReservationApproved" => Event::Approved {
                    pay_by: time::from_proto(&after()?.hold_expire_time?)?,
                },
                "ReservationPaymentPending" => Event::PaymentPending {
                    give_up: time::from_proto(
                        &read::<v1::ReservationPaymentPending>(recorded)?.give_up_time?,
                    )?,
                },
                "ReservationConfirmed" => Event::Confirmed {
                    payment: after()?.payment_id.parse().ok()?,
                },
                "ReservationRejected" => Event::Rejected {
                    why: match read::<v1::ReservationRejected>(recorded)?.by? {
                        By::Host(reason) => Rejection::ByHost(reason),
                        By::PaymentProvider(reason) => Rejection::PaymentDeclined(reason),
                    },
                },
                "ReservationLapsed" => Event::Lapsed,
                "ReservationCancelRequested" => Event::CancelRequested {
                    refund: money(
                        read::<v1::ReservationCancelRequested>(recorded)?
                            .refund
                            .as_ref(),
                    )?,
                    reason: after()?.reason,
                },
                "ReservationCancelled" => match before.status {
                    Status::CancelRequested { .. } => Event::Refunded,
                    _ => Event::Cancelled {
                        reason: after()?.reason,
                    },
                },
                "ReservationCompleted" => Event::Completed,
                "ConfirmationMissed" => Event::ConfirmationMissed {
                    payment: read::<v1::ConfirmationMissed>(recorded)?
                        .payment_id
                        .parse()
                        .ok()?,
                },
                _ => return None,
            },
        )
    }
}

fn requested(recorded: &v1::ReservationRequested) -> Option<Event> {
    let shown = recorded.reservation.as_ref()?;
    let agreed = recorded.agreement.as_ref()?;
    let number = |count: i32| u32::try_from(count).ok();
    let tiers = agreed.cancellation_tiers.iter().map(|tier| {
        Some(Tier {
            hours_before: number(tier.hours_before)?,
            percent: number(tier.refund_percent)?,
        })
    });
    let booking_request = BookingRequest {
        offer: shown.offer_id.parse().ok()?,
        customer: shown.customer_id.parse().ok()?,
        period: period(&mut Violations::new(), shown.period.as_ref())?,
        quantity: number(shown.quantity)?,
        persons: number(shown.persons)?,
        payment_method: PaymentMethod(recorded.payment_method.clone()),
    };
    let booking = Booking {
        request: booking_request,
        kind: match shown.kind() {
            berth::offer::v1::OfferKind::Room => OfferKind::Room,
            berth::offer::v1::OfferKind::Unspecified => return None,
        },
        title: shown.title.clone(),
        host: shown.host_id.parse().ok()?,
        approval: match shown.status() {
            v1::ReservationStatus::Requested => Approval::Nobody,
            v1::ReservationStatus::PendingApproval => Approval::Host,
            _ => return None,
        },
        tiers: tiers.collect::<Option<_>>()?,
        stay: Stay {
            start: time::from_proto(shown.start_time.as_ref()?)?,
            end: time::from_proto(shown.end_time.as_ref()?)?,
        },
        unit_numbers: shown
            .units
            .iter()
            .map(|unit| number(*unit))
            .collect::<Option<_>>()?,
        customer_slot: number(agreed.place)?,
        price: money(shown.price.as_ref())?,
        hold: time::duration_from_proto(agreed.hold.as_ref()?)?,
    };
    Some(Event::Requested {
        booking: Box::new(booking),
        until: time::from_proto(shown.hold_expire_time.as_ref()?)?,
    })
}

fn read<E: Message + Default>(recorded: &Recorded) -> Option<E> {
    E::decode(recorded.data.clone()).ok()
}

fn money(money: Option<&berth::google::r#type::Money>) -> Option<Money> {
    Money::try_from(money?).ok()
}
