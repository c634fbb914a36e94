//! Commands of customers, hosts and operators. They may be refused.

use chassis::{Money, Timestamp};

use super::{
    actor::Actor,
    booking::{Booking, BookingRequest, Party},
    event::Event,
    refund::CancellationQuote,
    refusal::Refusal,
    reservation::Reservation,
    status::{Rejection, Status},
    terms::Approval,
};

impl Reservation {
    /// A repeated request with the same content changes nothing, in any status.
    pub(crate) fn requested_again(
        &self,
        booking_request: &BookingRequest,
    ) -> Result<Option<Event>, Refusal> {
        if self.booking.request == *booking_request {
            Ok(None)
        } else {
            Err(Refusal::IdempotencyKeyReused)
        }
    }

    pub(super) fn approve(&self, by: Actor, at: Timestamp) -> Result<Option<Event>, Refusal> {
        self.must_decide(by)?;
        match (&self.status, self.booking.approval) {
            (Status::PendingApproval { decide_by }, _) if at < *decide_by => {
                let pay_by = self.booking.pay_by(at);
                Ok(Some(Event::Approved { pay_by }))
            }
            (status, Approval::Host) if status.was_approved() => Ok(None),
            _ => Err(Refusal::NotPending),
        }
    }

    pub(super) fn reject(
        &self,
        by: Actor,
        reason: &str,
        at: Timestamp,
    ) -> Result<Option<Event>, Refusal> {
        self.must_decide(by)?;
        let why = Rejection::ByHost(reason.to_owned());
        match &self.status {
            Status::PendingApproval { decide_by } if at < *decide_by => {
                Ok(Some(Event::Rejected { why }))
            }
            Status::Rejected { why: before } if *before == why => Ok(None),
            _ => Err(Refusal::NotPending),
        }
    }

    fn must_decide(&self, by: Actor) -> Result<(), Refusal> {
        if by.member == self.booking.host || by.operator {
            Ok(())
        } else {
            Err(Refusal::NotFound)
        }
    }

    pub(super) fn cancel(
        &self,
        by: Actor,
        reason: &str,
        expected_refund: Option<Money>,
        at: Timestamp,
    ) -> Result<Option<Event>, Refusal> {
        let party = self.booking.party(by).ok_or(Refusal::NotFound)?;
        if self.status.refund().is_some() {
            return Ok(None);
        }
        let refund = self.cancellation_quote(by, at)?.refund;
        if expected_refund.is_some_and(|expected| expected != refund) {
            return Err(Refusal::RefundChanged);
        }
        let reason = match (reason, party) {
            ("", Party::Guest) => "CANCELLED_BY_GUEST",
            ("", Party::Host) => "CANCELLED_BY_HOST",
            ("", Party::Operator) => "CANCELLED_BY_OPERATOR",
            (reason, _) => reason,
        };
        let reason = reason.to_owned();
        Ok(Some(if refund.is_positive() {
            Event::CancelRequested { refund, reason }
        } else {
            Event::Cancelled { reason }
        }))
    }

    /// The quote of a cancellation at `at`.
    pub(crate) fn cancellation_quote(
        &self,
        by: Actor,
        at: Timestamp,
    ) -> Result<CancellationQuote, Refusal> {
        let party = self.booking.party(by).ok_or(Refusal::NotFound)?;
        let Booking {
            price, stay, tiers, ..
        } = &self.booking;
        match &self.status {
            Status::Confirmed { .. } if stay.start <= at => Err(Refusal::StayHasBegun),
            Status::Confirmed { .. } if party == Party::Guest => {
                Ok(CancellationQuote::by_notice(*price, tiers, stay.start, at))
            }
            Status::Confirmed { .. } => Ok(CancellationQuote::everything(*price, stay.start)),
            status if status.is_open() => Ok(CancellationQuote::unpaid(*price)),
            _ => Err(Refusal::NotCancellable),
        }
    }

    /// Whether a payment is due at `at`; false if it is paid already. Refused if it cannot be paid.
    pub(crate) fn is_to_pay(&self, at: Timestamp) -> Result<bool, Refusal> {
        match &self.status {
            Status::Requested { pay_by } | Status::Approved { pay_by } if *pay_by <= at => {
                Err(Refusal::Lapsed)
            }
            status if status.awaits_payment() => Ok(true),
            Status::Confirmed { .. } | Status::Completed { .. } => Ok(false),
            Status::Lapsed { .. } => Err(Refusal::Lapsed),
            Status::Rejected {
                why: Rejection::PaymentDeclined(reason),
            } => Err(Refusal::PaymentDeclined(reason.clone())),
            _ => Err(Refusal::NotPayable),
        }
    }
}
