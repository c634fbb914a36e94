//! Stays at places whose clocks change.

use chassis::base::time::Time;

use super::*;
use crate::domain::terms::{Blackout, Stay};

fn in_zone(zone: &str, sold_by: SoldBy) -> Terms {
    Terms {
        zone: chassis::base::time::zone(zone).unwrap(),
        sold_by,
        ..terms()
    }
}

fn stay_of(terms: &Terms, start: Date, end: Date) -> Stay {
    terms.stay(&nights(start, end)).unwrap()
}

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_night_begins_and_ends_in_the_time_zone_of_the_offer() {
    let cases = [
        (
            "Asia/Seoul",
            (2027, 3, 1),
            "2027-03-01T06:00:00Z",
            "2027-03-02T02:00:00Z",
        ),
        (
            "Asia/Kolkata",
            (2027, 3, 1),
            "2027-03-01T09:30:00Z",
            "2027-03-02T05:30:00Z",
        ),
        (
            "Asia/Kathmandu",
            (2027, 3, 1),
            "2027-03-01T09:15:00Z",
            "2027-03-02T05:15:00Z",
        ),
        (
            "America/New_York",
            (2027, 3, 1),
            "2027-03-01T20:00:00Z",
            "2027-03-02T16:00:00Z",
        ),
        // Clocks go forward on 14 March in New York, on 28 March in Paris: nineteen hours.
        (
            "America/New_York",
            (2027, 3, 13),
            "2027-03-13T20:00:00Z",
            "2027-03-14T15:00:00Z",
        ),
        (
            "Europe/Paris",
            (2027, 3, 27),
            "2027-03-27T14:00:00Z",
            "2027-03-28T09:00:00Z",
        ),
        // And back on 31 October in Paris and on 7 November in New York: twenty-one hours.
        (
            "Europe/Paris",
            (2027, 10, 30),
            "2027-10-30T13:00:00Z",
            "2027-10-31T10:00:00Z",
        ),
        (
            "America/New_York",
            (2027, 11, 6),
            "2027-11-06T19:00:00Z",
            "2027-11-07T16:00:00Z",
        ),
        // By half an hour only, on 4 April and on 3 October.
        (
            "Australia/Lord_Howe",
            (2027, 4, 3),
            "2027-04-03T04:00:00Z",
            "2027-04-04T00:30:00Z",
        ),
        (
            "Australia/Lord_Howe",
            (2027, 10, 2),
            "2027-10-02T04:30:00Z",
            "2027-10-03T00:00:00Z",
        ),
    ];
    for (zone, (year, month, day), start, end) in cases {
        let first = date(year, month, day);
        let stay = stay_of(
            &in_zone(zone, SoldBy::Night),
            first,
            first.tomorrow().unwrap(),
        );
        let expected = Stay {
            start: instant(start),
            end: instant(end),
        };
        assert_eq!(stay, expected, "{zone} {first}");
    }
}

#[test]
fn a_skipped_or_repeated_local_time_has_one_instant() {
    let at = |hour, minute, day: Date| {
        let terms = Terms {
            check_in: Time::constant(hour, minute, 0, 0),
            ..terms()
        };
        stay_of(&terms, day, day.tomorrow().unwrap()).start
    };
    // 02:30 does not exist on 28 March in Paris, and exists twice on 31 October.
    assert_eq!(
        at(2, 30, date(2027, 3, 28)),
        instant("2027-03-28T01:30:00Z")
    );
    assert_eq!(
        at(2, 30, date(2027, 10, 31)),
        instant("2027-10-31T00:30:00Z")
    );
}

#[test]
fn notice_is_counted_in_elapsed_hours() {
    // A day before the first afternoon of summer time lies 24 hours before it, at 14:00 by the clock.
    let booking_request = BookingRequest {
        period: nights(date(2027, 3, 28), date(2027, 3, 29)),
        ..booking_request()
    };
    let requested = happens(&request_of(booking_request, terms()));
    let confirmed = vec![requested, Event::Confirmed { payment: PAYMENT }];
    let refund = |at: &str| {
        let quote = state(confirmed.clone()).cancellation_quote(actor(GUEST), instant(at));
        quote.unwrap().refund
    };
    assert_eq!(refund("2027-03-27T13:00:00Z"), eur(5_000));
    assert_eq!(refund("2027-03-27T13:00:01Z"), eur(0));
}

#[test]
fn hours_across_a_clock_change_are_elapsed_hours() {
    // From midnight to six by the clock: five hours in spring, seven in autumn.
    for (zone, start, hours) in [
        ("Europe/Paris", "2027-03-27T23:00:00Z", 5),
        ("Europe/Paris", "2027-10-30T22:00:00Z", 7),
        ("America/New_York", "2027-03-14T05:00:00Z", 5),
        ("America/New_York", "2027-11-07T04:00:00Z", 7),
    ] {
        let terms = in_zone(zone, SoldBy::Hour);
        let period = times(start, hours);
        let slots = period.slots();
        let distinct: BTreeSet<_> = slots.iter().collect();
        assert_eq!(distinct.len(), usize::try_from(4 * hours).unwrap());
        assert_eq!(terms.price_of(&period, 1), Ok(eur(hours * 10_000)));
        let (first, last) = period.days(&terms.zone);
        assert_eq!(first, last, "{zone}");
    }
}

#[test]
fn a_repeated_hour_counts_as_two_hours() {
    // 02:00 to 03:00 in Paris, in summer time and again in winter time.
    let (first, second) = (
        times("2027-10-31T00:00:00Z", 1),
        times("2027-10-31T01:00:00Z", 1),
    );
    assert!(
        first
            .slots()
            .iter()
            .all(|slot| !second.slots().contains(slot))
    );
}

#[test]
fn hours_that_start_at_different_quarters_overlap() {
    // Half past in Calcutta is the full hour of nobody; a quarter to in Kathmandu is.
    for (one, other, shared) in [
        ("2027-04-01T04:30:00Z", "2027-04-01T05:15:00Z", 1),
        ("2027-04-01T04:30:00Z", "2027-04-01T05:30:00Z", 0),
        ("2027-04-01T04:45:00Z", "2027-04-01T05:00:00Z", 3),
    ] {
        let others = times(other, 1).slots();
        let both = times(one, 1)
            .slots()
            .into_iter()
            .filter(|slot| others.contains(slot));
        assert_eq!(both.count(), shared, "{one} {other}");
    }
}

#[test]
fn a_quarter_hour_is_one_in_every_time_zone() {
    for zone in [
        "Asia/Kolkata",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Pacific/Chatham",
    ] {
        let local = date(2027, 4, 4).at(10, 15, 0, 0);
        let start = chassis::base::time::zone(zone)
            .unwrap()
            .to_timestamp(local)
            .unwrap();
        assert!(
            Period::times(start, later(start, hours(2))).is_ok(),
            "{zone}"
        );
    }
}

#[test]
fn blackout_dates_are_in_the_time_zone_of_the_offer() {
    let blackouts = vec![Blackout {
        start: date(2027, 4, 2),
        end: date(2027, 4, 3),
    }];
    // 2 April in Seoul begins on 1 April at 15:00 UTC.
    for (start, refused) in [
        ("2027-04-01T13:00:00Z", false),
        ("2027-04-01T14:00:00Z", false),
        ("2027-04-01T14:15:00Z", true),
        ("2027-04-02T14:45:00Z", true),
        ("2027-04-02T15:00:00Z", false),
    ] {
        let terms = Terms {
            blackouts: blackouts.clone(),
            ..in_zone("Asia/Seoul", SoldBy::Hour)
        };
        let booking_request = BookingRequest {
            period: times(start, 1),
            ..booking_request()
        };
        let decided =
            Reservation::decide(None, &request_of(booking_request, terms), &Now::at(noon()));
        assert_eq!(
            decided.err(),
            refused.then_some(Refusal::BlackedOut),
            "{start}"
        );
    }
}

#[test]
fn a_period_begins_in_the_time_zone_of_the_offer() {
    let booking_request = BookingRequest {
        period: nights(date(2027, 3, 1), date(2027, 3, 2)),
        ..booking_request()
    };
    // At noon UTC it is 21:00 in Seoul, 13:00 in Paris and 07:00 in New York.
    for (zone, refusal) in [
        ("Asia/Seoul", Some(Refusal::PeriodInPast)),
        ("Europe/Paris", None),
        ("America/New_York", None),
    ] {
        let command = request_of(booking_request.clone(), in_zone(zone, SoldBy::Night));
        let decided = Reservation::decide(None, &command, &Now::at(noon()));
        assert_eq!(decided.err(), refusal, "{zone}");
    }
}

#[test]
fn one_guest_leaves_and_the_next_arrives_on_the_same_day() {
    let slots = |start, end| nights(date(2027, 4, start), date(2027, 4, end)).slots();
    assert_eq!(slots(1, 3), ["2027-04-01", "2027-04-02"]);
    assert_eq!(slots(3, 4), ["2027-04-03"]);
    let terms = terms();
    let leaves = stay_of(&terms, date(2027, 4, 1), date(2027, 4, 3)).end;
    let arrives = stay_of(&terms, date(2027, 4, 3), date(2027, 4, 4)).start;
    assert!(leaves < arrives);
}
