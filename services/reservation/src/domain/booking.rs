//! What was agreed when a reservation was requested. It never changes.

use std::fmt;

use chassis::{Claims, MemberId, Money, Now, OfferId, Timestamp, base::time::SignedDuration};
use serde::{Deserialize, Serialize};

use super::{
    Actor,
    claims::{self, Free},
    period::Period,
    refund::Tier,
    refusal::Refusal,
    terms::{Approval, Deal, OfferKind, Stay, Terms},
};

/// What a customer asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wish {
    pub(crate) offer: OfferId,
    pub(crate) customer: MemberId,
    pub(crate) period: Period,
    pub(crate) quantity: u32,
    pub(crate) persons: u32,
    pub(crate) payment_method: PaymentMethod,
}

/// Token of a payment method. It is money to whoever reads it, so it is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct PaymentMethod(pub(crate) String);

impl fmt::Debug for PaymentMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentMethod(..)")
    }
}

/// A wish, the terms of the offer at that time, and the rules of the house.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) wish: Wish,
    pub(crate) terms: Terms,
    pub(crate) rules: Rules,
}

/// The rules of the house.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// How long something is held without being paid.
    pub(crate) hold: SignedDuration,
    /// How long a host may think.
    pub(crate) approval: SignedDuration,
    /// How many open reservations a customer may have.
    pub(crate) per_person: u32,
}

/// What was agreed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Booking {
    pub(crate) wish: Wish,
    pub(crate) kind: OfferKind,
    pub(crate) title: String,
    pub(crate) host: MemberId,
    pub(crate) approval: Approval,
    pub(crate) tiers: Vec<Tier>,
    pub(crate) stay: Stay,
    /// Which of the offer's units are held, counted from 1.
    pub(crate) units: Vec<u32>,
    /// Which of the customer's places it takes, counted from 1.
    pub(crate) place: u32,
    pub(crate) price: Money,
    /// How long it is held for a payment.
    pub(crate) hold: SignedDuration,
}

/// What somebody is to a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Party {
    Guest,
    Host,
    Operator,
}

impl Request {
    /// Makes a booking of it, and says until when it is held, if there is room for it now.
    pub(crate) fn book(&self, now: &Now) -> Result<(Booking, Timestamp), Refusal> {
        let Self { wish, terms, rules } = self;
        let scope = claims::offer_scope(wish.offer);
        let free = Free::of(terms.capacity, now.taken(&scope));
        let Deal { stay, units, price } =
            terms.deal(&wish.period, wish.quantity, wish.persons, &free, now.at)?;
        let place = claims::free_place(wish.customer, rules.per_person, now)
            .ok_or(Refusal::TooManyReservations)?;
        let booking = Booking {
            wish: wish.clone(),
            kind: terms.kind,
            title: terms.title.clone(),
            host: terms.host,
            approval: terms.approval,
            tiers: terms.tiers.clone(),
            stay,
            units,
            place,
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
    /// Until when it waits for its payment from a moment on. Nobody pays for what is over.
    pub(crate) fn pay_by(&self, at: Timestamp) -> Timestamp {
        later(at, self.hold).min(self.stay.end)
    }

    /// What somebody is to it; none if it does not concern them.
    pub(crate) fn party(&self, actor: Actor) -> Option<Party> {
        if actor.member == self.wish.customer {
            Some(Party::Guest)
        } else if actor.member == self.host {
            Some(Party::Host)
        } else {
            actor.operator.then_some(Party::Operator)
        }
    }

    /// What it claims while it is open: its units in every slot of its period, and its customer's place.
    pub(crate) fn claims(&self) -> Claims {
        let scope = claims::offer_scope(self.wish.offer);
        let customer = claims::customer_scope(self.wish.customer);
        let mut all = Claims::none().and(customer, self.place.to_string());
        for slot in self.wish.period.slots() {
            let units = self.units.iter();
            all.extend(units.map(|unit| (scope.as_str(), claims::unit_key(&slot, *unit))));
        }
        all
    }
}

/// A moment after another one; the end of time if there is none.
pub(crate) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
