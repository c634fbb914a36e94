//! Instants, dates and time zones, and their conversion to and from proto.

use std::sync::LazyLock;

use berth::google::r#type as google;
use jiff::tz::TimeZoneDatabase;
pub use jiff::{
    SignedDuration, Span, Timestamp, ToSpan, Zoned,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

/// An instant as proto.
pub fn to_proto(at: Timestamp) -> prost_types::Timestamp {
    let (mut seconds, mut nanos) = (at.as_second(), at.subsec_nanosecond());
    if nanos < 0 {
        seconds -= 1;
        nanos += 1_000_000_000;
    }
    prost_types::Timestamp { seconds, nanos }
}

/// An instant from proto, if it is valid.
pub fn from_proto(at: &prost_types::Timestamp) -> Option<Timestamp> {
    (0..1_000_000_000)
        .contains(&at.nanos)
        .then(|| Timestamp::new(at.seconds, at.nanos).ok())
        .flatten()
}

/// An instant from an HTTP header (`Sun, 06 Nov 1994 08:49:37 GMT`), if it is valid.
pub fn from_http(date: &str) -> Option<Timestamp> {
    let parser = jiff::fmt::rfc2822::DateTimeParser::new();
    parser.parse_timestamp(date).ok()
}

/// A duration as proto.
pub fn duration_to_proto(duration: SignedDuration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: duration.as_secs(),
        nanos: duration.subsec_nanos(),
    }
}

/// A duration from proto, if it is valid.
pub fn duration_from_proto(duration: &prost_types::Duration) -> Option<SignedDuration> {
    let whole = SignedDuration::from_secs(duration.seconds);
    whole.checked_add(SignedDuration::from_nanos(duration.nanos.into()))
}

/// A date as proto.
pub fn date_to_proto(date: Date) -> google::Date {
    google::Date {
        year: date.year().into(),
        month: date.month().into(),
        day: date.day().into(),
    }
}

/// A full date of the years 1 to 9999 from proto, if it is valid.
pub fn date_from_proto(date: &google::Date) -> Option<Date> {
    let year = i16::try_from(date.year).ok().filter(|year| *year >= 1)?;
    Date::new(
        year,
        i8::try_from(date.month).ok()?,
        i8::try_from(date.day).ok()?,
    )
    .ok()
}

/// A time of day as proto.
pub fn time_of_day_to_proto(time: Time) -> google::TimeOfDay {
    google::TimeOfDay {
        hours: time.hour().into(),
        minutes: time.minute().into(),
        seconds: time.second().into(),
        nanos: time.subsec_nanosecond(),
    }
}

/// A time of day from proto, if it is valid.
pub fn time_of_day_from_proto(time: &google::TimeOfDay) -> Option<Time> {
    let part = |value: i32| i8::try_from(value).ok();
    Time::new(
        part(time.hours)?,
        part(time.minutes)?,
        part(time.seconds)?,
        time.nanos,
    )
    .ok()
}

/// The time zone with an IANA name, in any case. It comes from the built-in database and not from the machine's, so all
/// processes of a release agree about every zone. Its `iana_name` has the official spelling.
pub fn zone(name: &str) -> Option<TimeZone> {
    static KNOWN: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    KNOWN.get(name).ok().filter(|zone| !zone.is_unknown())
}

/// Microseconds since 1970, as the store keeps instants.
pub fn to_micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// An instant from microseconds since 1970; the first or last instant if they are out of range.
pub fn from_micros(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}
