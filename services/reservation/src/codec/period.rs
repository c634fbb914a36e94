//! The period of a reservation, in both directions.

use berth::offer::v1::{self as offers, period::Kind};
use chassis::{Violations, base::time};

use crate::domain::period::Period;

/// Parses a period.
pub(super) fn period(wrong: &mut Violations, period: Option<&offers::Period>) -> Option<Period> {
    match period.and_then(|period| period.kind.as_ref()) {
        None => {
            wrong.add("period", "must be given");
            None
        }
        Some(Kind::Dates(dates)) => {
            let start = wrong.date("period.dates.start_date", dates.start_date.as_ref());
            let end = wrong.date("period.dates.end_date", dates.end_date.as_ref());
            let period = Period::dates(start?, end?);
            period
                .map_err(|error| wrong.add("period.dates", error.to_string()))
                .ok()
        }
        Some(Kind::Times(times)) => {
            let start = wrong.timestamp("period.times.start_time", times.start_time.as_ref());
            let end = wrong.timestamp("period.times.end_time", times.end_time.as_ref());
            let period = Period::times(start?, end?);
            period
                .map_err(|error| wrong.add("period.times", error.to_string()))
                .ok()
        }
    }
}

/// The period as a message of the contract.
pub(super) fn period_to_proto(period: &Period) -> offers::Period {
    let kind = match *period {
        Period::Dates { start, end } => Kind::Dates(offers::DateRange {
            start_date: Some(time::date_to_proto(start)),
            end_date: Some(time::date_to_proto(end)),
        }),
        Period::Times { start, end } => Kind::Times(offers::TimeRange {
            start_time: Some(time::to_proto(start)),
            end_time: Some(time::to_proto(end)),
        }),
    };
    offers::Period { kind: Some(kind) }
}
