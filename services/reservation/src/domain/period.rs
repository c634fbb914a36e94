//! Periods: half-open ranges of dates or of time, and the slots they are made of.

use chassis::{
    Timestamp,
    base::time::{Date, SignedDuration, TimeZone},
};
use serde::{Deserialize, Serialize};

/// The longest period in nights or days.
const MAX_DAYS: i64 = 366;
/// The longest period in hours.
const MAX_HOURS: i64 = 336;
/// The limit of units times slots in one reservation: they are claimed in one transaction, which blocks other writers.
const MAX_CLAIMS: i64 = 2_000;
/// What is sold by the hour begins on one of these, in every time zone of the world: offsets are multiples of it.
const QUARTER: SignedDuration = SignedDuration::from_mins(15);

/// When something is reserved for; the end is not part of it. Made by [`Period::dates`] and [`Period::times`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Period {
    /// From check-in to check-out, in the time zone of the offer.
    Dates { start: Date, end: Date },
    /// From the first to the last minute.
    Times { start: Timestamp, end: Timestamp },
}

/// Why a range is no period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoPeriod {
    #[error("must end after it starts")]
    Empty,
    #[error("must have at most 366 nights or days, or 336 hours")]
    TooLong,
    #[error("must begin on a quarter of an hour")]
    OffQuarter,
    #[error("must last a whole number of hours")]
    BrokenHour,
}

impl Period {
    /// Nights or days.
    pub(crate) fn dates(start: Date, end: Date) -> Result<Self, NoPeriod> {
        let period = Self::Dates { start, end };
        match period.length() {
            ..=0 => Err(NoPeriod::Empty),
            1..=MAX_DAYS => Ok(period),
            _ => Err(NoPeriod::TooLong),
        }
    }

    /// Hours.
    pub(crate) fn times(start: Timestamp, end: Timestamp) -> Result<Self, NoPeriod> {
        let length = end.duration_since(start);
        if length <= SignedDuration::ZERO {
            return Err(NoPeriod::Empty);
        }
        if length > SignedDuration::from_hours(MAX_HOURS) {
            return Err(NoPeriod::TooLong);
        }
        if start.as_second() % QUARTER.as_secs() != 0 || start.subsec_nanosecond() != 0 {
            return Err(NoPeriod::OffQuarter);
        }
        if length != SignedDuration::from_hours(length.as_hours()) {
            return Err(NoPeriod::BrokenHour);
        }
        Ok(Self::Times { start, end })
    }

    /// Its length in nights, days or hours: the factor of the price.
    pub(crate) fn length(&self) -> i64 {
        match self {
            Self::Dates { start, end } => end.duration_since(*start).as_hours() / 24,
            Self::Times { start, end } => end.duration_since(*start).as_hours(),
        }
    }

    /// Whether this quantity stays within the limit of claims in one transaction.
    pub(crate) fn fits(&self, quantity: u32) -> bool {
        let slots = match self {
            Self::Dates { .. } => self.length(),
            Self::Times { .. } => self.length() * 4,
        };
        slots * i64::from(quantity) <= MAX_CLAIMS
    }

    /// The names of its slots, in order. Dates are slots by themselves; hours are sold on quarters of an hour of UTC, so
    /// that no change of a clock makes two of them overlap or one of them vanish.
    pub(crate) fn slots(&self) -> Vec<String> {
        match *self {
            Self::Dates { start, end } => {
                std::iter::successors(Some(start), |date| date.tomorrow().ok())
                    .take_while(|date| *date < end)
                    .map(|date| date.to_string())
                    .collect()
            }
            Self::Times { start, end } => {
                std::iter::successors(Some(start), |at| at.checked_add(QUARTER).ok())
                    .take_while(|at| *at < end)
                    .map(quarter)
                    .collect()
            }
        }
    }

    /// Its first slot and the slot after its last one. Slots of a kind sort by time.
    pub(crate) fn bounds(&self) -> (String, String) {
        match *self {
            Self::Dates { start, end } => (start.to_string(), end.to_string()),
            Self::Times { start, end } => (quarter(start), quarter(end)),
        }
    }

    /// The first and the last local date it touches.
    pub(crate) fn days(&self, zone: &TimeZone) -> (Date, Date) {
        match *self {
            Self::Dates { start, end } => (start, end.yesterday().unwrap_or(end)),
            Self::Times { start, end } => {
                let last = end
                    .checked_sub(SignedDuration::from_nanos(1))
                    .unwrap_or(end);
                let date = |at| zone.to_datetime(at).date();
                (date(start), date(last))
            }
        }
    }
}

fn quarter(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%MZ").to_string()
}
