//! Values and waiting, in the short form that stories use.

use berth::{
    google::r#type::{Date, Money},
    offer::v1::{DateRange, Period, TimeRange, period},
};
use chassis::base::{time, time::Timestamp};

/// Euros.
pub fn eur(units: i64) -> Option<Money> {
    Some(Money {
        currency_code: "EUR".into(),
        units,
        nanos: 0,
    })
}

/// The nights between two dates.
pub fn nights(start: &str, end: &str) -> Period {
    let date = |text: &str| {
        let date: chassis::base::time::Date = text.parse().expect("a date");
        time::date_to_proto(date)
    };
    let dates: (Date, Date) = (date(start), date(end));
    let dates = DateRange {
        start_date: Some(dates.0),
        end_date: Some(dates.1),
    };
    Period {
        kind: Some(period::Kind::Dates(dates)),
    }
}

/// The time between two instants.
pub fn hours(start: &str, end: &str) -> Period {
    let instant = |text: &str| {
        let at: Timestamp = text.parse().expect("a time");
        Some(time::to_proto(at))
    };
    let times = TimeRange {
        start_time: instant(start),
        end_time: instant(end),
    };
    Period {
        kind: Some(period::Kind::Times(times)),
    }
}

/// Waits until a condition holds. Fails after five minutes: the bound only ends a story that will never go on, so it is
/// generous enough for a busy machine.
pub async fn eventually(holds: impl AsyncFn() -> bool) {
    let bound = std::time::Duration::from_mins(5);
    let wait = async {
        let mut polls = tokio::time::interval(std::time::Duration::from_millis(10));
        while !holds().await {
            polls.tick().await;
        }
    };
    tokio::time::timeout(bound, wait)
        .await
        .expect("the condition holds within five minutes");
}
