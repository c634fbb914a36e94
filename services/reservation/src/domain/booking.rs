//! The agreement of a reservation. It is made at the request and never changes.

use std::fmt;

use chassis::{
    ClaimRange, Claims, MemberId, Money, Now, OfferId, Timestamp, base::time::SignedDuration,
};
use serde::{Deserialize, Serialize};

use super::{
    actor::Actor,
    claims::{self, Free},
    period::Period,
    refund::Tier,
    refusal::Refusal,
    terms::{Approval, OfferKind, Quote, Stay, Terms},
};

/// A booking request of a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BookingRequest {
    pub(crate) offer: OfferId,
    pub(crate) customer: MemberId,
    pub(crate) period: Period,
    pub(crate) quantity: u32,
    pub(crate) persons: u32,
    pub(crate) payment_method: PaymentMethod,
}

/// Token of a payment method. It is a secret, so it is never logged or shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct PaymentMethod(pub(crate) String);

impl fmt::Debug for PaymentMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentMethod(..)")
    }
}

/// A booking request with what it is decided by: the terms of the offer at that time, and the rules of the platform.
#[derive(Clone, Debug)]
pub(crate) struct Proposal {
    pub(crate) booking_request: BookingRequest,
    pub(crate) terms: Terms,
    pub(crate) rules: Rules,
}

/// The rules that an operator configures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// How long units are held without a payment.
    pub(crate) hold: SignedDuration,
    /// How long a host may take to approve.
    pub(crate) approval: SignedDuration,
    /// How many open reservations a customer may have.
    pub(crate) per_person: u32,
}

/// The agreement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Booking {
    pub(crate) request: BookingRequest,
    pub(crate) kind: OfferKind,
    pub(crate) title: String,
    pub(crate) host: MemberId,
    pub(crate) approval: Approval,
    pub(crate) tiers: Vec<Tier>,
    pub(crate) stay: Stay,
    /// The numbers of the offer's units that are held, counted from 1.
    pub(crate) unit_numbers: Vec<u32>,
    /// The customer's slot for an open reservation, counted from 1.
    pub(crate) customer_slot: u32,
    pub(crate) price: Money,
    /// How long it is held for a payment.
    pub(crate) hold: SignedDuration,
}

/// The role of a member in a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Party {
    Guest,
    Host,
    Operator,
}

impl Proposal {
    /// Returns the booking and the time until which it is held, if enough units are free.
    pub(crate) fn book(&self, now: &Now) -> Result<(Booking, Timestamp), Refusal> {
        let Self {
            booking_request,
            terms,
            rules,
        } = self;
        let scope = claims::offer_scope(booking_request.offer);
        let free = Free::of(terms.capacity, now.taken(&scope));
        let Quote {
            stay,
            unit_numbers,
            price,
        } = terms.quote(
            &booking_request.period,
            booking_request.quantity,
            booking_request.persons,
            &free,
            now.at,
        )?;
        let customer_slot =
            claims::free_customer_slot(booking_request.customer, rules.per_person, now)
                .ok_or(Refusal::TooManyReservations)?;
        let booking = Booking {
            request: booking_request.clone(),
            kind: terms.kind,
            title: terms.title.clone(),
            host: terms.host,
            approval: terms.approval,
            tiers: terms.tiers.clone(),
            stay,
            unit_numbers,
            customer_slot,
            price,
            hold: rules.hold,
        };
        let until = match terms.approval {
            Approval::Nobody => booking.pay_by(now.at),
            Approval::Host => later(now.at, rules.approval).min(stay.start),
        };
        Ok((booking, until))
    }
}

impl Booking {
    /// Until when a payment is accepted, counted from `at`: for the time of a hold, and never after the stay.
    pub(crate) fn pay_by(&self, at: Timestamp) -> Timestamp {
        later(at, self.hold).min(self.stay.end)
    }

    /// The role of an actor; none if the booking does not concern them.
    pub(crate) fn party(&self, actor: Actor) -> Option<Party> {
        if actor.member == self.request.customer {
            Some(Party::Guest)
        } else if actor.member == self.host {
            Some(Party::Host)
        } else {
            actor.operator.then_some(Party::Operator)
        }
    }

    /// The claims of the booking while it is open: its units in every slot of its period, and one slot of its customer.
    pub(crate) fn claims(&self) -> Claims {
        let scope = claims::offer_scope(self.request.offer);
        let customer = claims::customer_scope(self.request.customer);
        let mut all = Claims::none().and(customer, self.customer_slot.to_string());
        for slot in self.request.period.slots() {
            let units = self.unit_numbers.iter();
            all.extend(units.map(|unit| (scope.as_str(), ClaimRange::unit_key(*unit, &slot))));
        }
        all
    }
}

/// `at` plus `by`, or the greatest timestamp if that overflows.
pub(crate) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
