//! Commands of policies and deadlines, in any order. They are never refused.

use chassis::{Aggregate, Money, Timestamp, base::time::SignedDuration};

use super::{
    booking::later,
    event::Event,
    reservation::Reservation,
    status::{PaymentId, Rejection, Status},
};

/// How long a hold is extended while the outcome of its payment is unknown. A payment after that is refunded.
const UNKNOWN_OUTCOME: SignedDuration = SignedDuration::from_hours(24);

impl Reservation {
    /// A payment confirms a reservation that awaits it. A payment that is not awaited, or of another amount, is published
    /// once as missed and refunded.
    pub(super) fn confirm(
        &self,
        payment: PaymentId,
        amount: Money,
        at: Timestamp,
    ) -> Option<Event> {
        let Self {
            booking,
            status,
            missed,
        } = self;
        if status.payment() == Some(payment) || missed.contains(&payment) {
            return None;
        }
        let in_time = status.awaits_payment() && at < booking.stay.end;
        Some(if in_time && amount == booking.price {
            Event::Confirmed { payment }
        } else {
            Event::ConfirmationMissed { payment }
        })
    }

    pub(super) fn decline(&self, reason: &str) -> Option<Event> {
        let why = Rejection::PaymentDeclined(reason.to_owned());
        self.status
            .awaits_payment()
            .then_some(Event::Rejected { why })
    }

    /// Extends the hold for a limited time.
    pub(super) fn await_payment(&self, at: Timestamp) -> Option<Event> {
        let extended = matches!(self.status, Status::PaymentPending { .. });
        let give_up = later(at, UNKNOWN_OUTCOME).min(self.booking.stay.end);
        (self.status.awaits_payment() && !extended).then_some(Event::PaymentPending { give_up })
    }

    pub(super) fn refunded(&self, refunded: PaymentId) -> Option<Event> {
        match &self.status {
            Status::CancelRequested { payment, .. } if *payment == refunded => {
                Some(Event::Refunded)
            }
            _ => None,
        }
    }

    pub(super) fn lapse_or_complete(&self, at: Timestamp) -> Option<Event> {
        let due = self.due().is_some_and(|due| due <= at);
        let event = match self.status {
            Status::Confirmed { .. } => Event::Completed,
            _ => Event::Lapsed,
        };
        due.then_some(event)
    }
}
