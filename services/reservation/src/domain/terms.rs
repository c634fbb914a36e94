//! The terms of an offer, and the quote that follows from them for a booking request.

use chassis::{
    MemberId, Money, Timestamp,
    base::time::{Date, SignedDuration, Time, TimeZone},
};
use serde::{Deserialize, Serialize};

use super::{claims::Free, period::Period, refund::Tier, refusal::Refusal};

/// The longest time from a request to the end of a stay: two years, and a day for a leap year.
const HORIZON: SignedDuration = SignedDuration::from_hours(24 * 731);

/// The terms of an offer at the time of a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Terms {
    pub(crate) kind: OfferKind,
    pub(crate) host: MemberId,
    pub(crate) title: String,
    pub(crate) sold_by: SoldBy,
    /// The number of units that can be reserved at the same time.
    pub(crate) capacity: u32,
    /// The number of persons for one unit.
    pub(crate) max_persons: u32,
    /// The price of one unit for one night, day or hour.
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

/// The length by which an offer is sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SoldBy {
    Night,
    Hour,
    Day,
}

/// Who must approve before a booking is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Approval {
    Nobody,
    Host,
}

/// Dates on which an offer is not sold; the end is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blackout {
    pub(crate) start: Date,
    pub(crate) end: Date,
}

/// The start and the end of a stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stay {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
}

/// The result of the terms for a booking request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quote {
    pub(crate) stay: Stay,
    pub(crate) unit_numbers: Vec<u32>,
    pub(crate) price: Money,
}

impl Terms {
    /// The quote for a period, from the units that are free. `RequestReservation` and `GetAvailability` both decide by
    /// it, so they cannot differ.
    pub(crate) fn quote(
        &self,
        period: &Period,
        quantity: u32,
        persons: u32,
        free: &Free,
        at: Timestamp,
    ) -> Result<Quote, Refusal> {
        let stay = self.stay(period)?;
        let price = self.price_of(period, quantity)?;
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
        let unit_numbers = free.lowest(quantity).ok_or(Refusal::SoldOut)?;
        Ok(Quote {
            stay,
            unit_numbers,
            price,
        })
    }

    /// The price of a quantity for a period.
    pub(crate) fn price_of(&self, period: &Period, quantity: u32) -> Result<Money, Refusal> {
        let count = period.length().checked_mul(i64::from(quantity));
        let price = count.and_then(|count| self.price.times(count).ok());
        price.ok_or(Refusal::PriceOutOfRange)
    }

    /// The start and the end of a stay. Dates begin at check-in time and end at check-out time in the time zone of the
    /// offer. A local time that a clock change skips is read by the old offset; of a repeated one the first counts.
    pub(crate) fn stay(&self, period: &Period) -> Result<Stay, Refusal> {
        match (self.sold_by, *period) {
            (SoldBy::Night | SoldBy::Day, Period::Dates { start, end }) => Ok(Stay {
                start: self.instant(start, self.check_in)?,
                end: self.instant(end, self.check_out)?,
            }),
            (SoldBy::Hour, Period::Times { start, end }) => Ok(Stay { start, end }),
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
