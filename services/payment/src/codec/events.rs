//! The events that this context publishes.

use berth::payment::v1;
use chassis::{EventType, Fact, Money, Publish, Versioned};

use super::payment::shown;
use crate::domain::{Event, Payment, PaymentId, Requested};

/// The types of the published events.
pub(crate) const EVENTS: &[EventType] = &[
    EventType::of::<v1::PaymentDelayed>(),
    EventType::of::<v1::PaymentApproved>(),
    EventType::of::<v1::PaymentDeclined>(),
    EventType::of::<v1::PaymentCancelled>(),
];

impl Publish for Payment {
    fn facts(id: PaymentId, event: &Event, after: &Versioned<Self>) -> Vec<Fact> {
        let payment = shown(id, after).map(|(_, payment)| payment);
        let fact = match event {
            // Published once for each payment, after the first attempt without an answer.
            Event::Delayed(retry) if retry.attempts == 1 => {
                Fact::of(&v1::PaymentDelayed { payment })
            }
            Event::Charged { .. } => Fact::of(&v1::PaymentApproved { payment }),
            Event::Declined { .. } | Event::GivenUp { .. } => {
                Fact::of(&v1::PaymentDeclined { payment })
            }
            Event::Refunded { amount, .. } => Fact::of(&v1::PaymentCancelled {
                payment,
                refund: Some((*amount).into()),
            }),
            Event::NothingRefunded { .. } => {
                let nothing = |payment: &Requested| Money::zero(payment.order.amount.currency);
                let refund = after.state.requested().map(nothing).map(Into::into);
                Fact::of(&v1::PaymentCancelled { payment, refund })
            }
            Event::Announced { .. }
            | Event::Forgotten
            | Event::Requested { .. }
            | Event::Delayed(_)
            | Event::VoidDelayed(_)
            | Event::Voided
            | Event::RefundRequested { .. }
            | Event::RefundBegun { .. }
            | Event::RefundDelayed { .. } => return vec![],
        };
        vec![fact.about(id)]
    }
}
