//! The terms of an offer, and what they say to a wish.

use chassis::{
    MemberId, Money, Timestamp,
    base::time::{Date, SignedDuration, Time, TimeZone},
};
use serde::{Deserialize, Serialize};

use super::{claims::Free, period::Period, refund::Tier, refusal::Refusal};

/// Nobody reserves further ahead: two years, and a day for the leap.
const HORIZON: SignedDuration = SignedDuration::from_hours(24 * 731);

/// What an offer says at the time of a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Terms {
    pub(crate) kind: OfferKind,
    pub(crate) host: MemberId,
    pub(crate) title: String,
    pub(crate) unit: Unit,
    /// How many of it can be reserved at the same time.
    pub(crate) capacity: u32,
    /// How many persons one of it takes.
    pub(crate) max_persons: u32,
    /// Of one night, day or hour of one of it.
    pub(crate) price: Money,
    pub(crate) approval: Approval,
    pub(crate) tiers: Vec<Tier>,
    pub(crate) zone: TimeZone,
    pub(crate) check_in: Time,
    pub(crate) check_out: Time,
    pub(crate) blackouts: Vec<Blackout>,
    pub(crate) withdrawn: bool,
}

/// Kinds of bookable resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OfferKind {
    Room,
}

/// By what an offer is sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Night,
    Hour,
    Day,
}

/// Who must agree before a booking is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Approval {
    Nobody,
    Host,
}

/// Dates on which an offer is not sold; the end is not one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blackout {
    pub(crate) start: Date,
    pub(crate) end: Date,
}

/// When a stay begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stay {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
}

/// What the terms give for a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deal {
    pub(crate) stay: Stay,
    pub(crate) units: Vec<u32>,
    pub(crate) price: Money,
}

impl Terms {
    /// What the terms give for a wish at a moment, of the units that are free then. The one place where it is decided
    /// whether something can be had: a request and a look at what is available cannot differ.
    pub(crate) fn deal(
        &self,
        period: &Period,
        quantity: u32,
        persons: u32,
        free: &Free,
        at: Timestamp,
    ) -> Result<Deal, Refusal> {
        let stay = self.stay(period)?;
        let price = self.quote(period, quantity)?;
        if stay.end.duration_since(at) > HORIZON {
            return Err(Refusal::TooFarAhead);
        }
        if self.withdrawn {
            return Err(Refusal::OfferWithdrawn);
        }
        if stay.start <= at {
            return Err(Refusal::PeriodInPast);
        }
        if self.is_blacked_out(period) {
            return Err(Refusal::BlackedOut);
        }
        if u64::from(persons) > u64::from(self.max_persons) * u64::from(quantity) {
            return Err(Refusal::TooManyPersons);
        }
        let units = free.lowest(quantity).ok_or(Refusal::SoldOut)?;
        Ok(Deal { stay, units, price })
    }

    /// What so many of it cost for a period.
    pub(crate) fn quote(&self, period: &Period, quantity: u32) -> Result<Money, Refusal> {
        let units = period.units().checked_mul(i64::from(quantity));
        let price = units.and_then(|units| self.price.times(units).ok());
        price.ok_or(Refusal::PriceOutOfRange)
    }

    /// When a stay begins and ends. Dates begin at check-in time and end at check-out time, as clocks at the place show
    /// them: a time that a change of the clocks skips is meant by the old clock, and of two equal ones the first is meant.
    pub(crate) fn stay(&self, period: &Period) -> Result<Stay, Refusal> {
        match (self.unit, *period) {
            (Unit::Night | Unit::Day, Period::Dates { start, end }) => Ok(Stay {
                start: self.instant(start, self.check_in)?,
                end: self.instant(end, self.check_out)?,
            }),
            (Unit::Hour, Period::Times { start, end }) => Ok(Stay { start, end }),
            _ => Err(Refusal::WrongPeriod),
        }
    }

    fn instant(&self, date: Date, time: Time) -> Result<Timestamp, Refusal> {
        let instant = self.zone.to_timestamp(date.to_datetime(time));
        // Only the last hours of the year 9999 are no instants in some zones.
        instant.map_err(|_| Refusal::TooFarAhead)
    }

    fn is_blacked_out(&self, period: &Period) -> bool {
        let (first, last) = period.days(&self.zone);
        let mut blackouts = self.blackouts.iter();
        blackouts.any(|blackout| blackout.start <= last && first < blackout.end)
    }
}
