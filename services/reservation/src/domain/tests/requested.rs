//! What can be had, and what cannot.

use chassis::Units;

use super::*;
use crate::domain::{
    claims::{Free, customer_scope, offer_scope},
    period::NoPeriod,
    terms::Blackout,
};

fn nothing() -> Given<Reservation> {
    on(vec![])
}

fn wanting(change: impl FnOnce(&mut BookingRequest, &mut Terms)) -> Command {
    let (mut booking_request, mut terms) = (booking_request(), terms());
    change(&mut booking_request, &mut terms);
    request_of(booking_request, terms)
}

#[test]
fn a_request_holds_the_lowest_free_units_until_it_is_paid() {
    let held = nothing().when(request()).happens().0.unwrap();
    assert_eq!(held.booking.unit_numbers, [1]);
    assert_eq!(held.booking.customer_slot, 1);
    assert_eq!(held.booking.price, eur(PRICE));
    assert_eq!(
        (held.booking.stay.start, held.booking.stay.end),
        (start(), end())
    );
    assert_eq!(
        held.status,
        Status::Requested {
            pay_by: later(noon(), minutes(15))
        }
    );
    assert_eq!(held.due(), Some(later(noon(), minutes(15))));
    let claims = held.claims();
    let claims: Vec<_> = claims.iter().collect();
    let (offer, customer) = (offer_scope(OFFER), customer_scope(GUEST));
    assert_eq!(
        claims,
        [
            (customer.as_str(), "1"),
            (offer.as_str(), "0001/2027-04-01"),
            (offer.as_str(), "0001/2027-04-02"),
        ]
    );
}

#[test]
fn a_request_that_needs_approval_waits_for_the_host() {
    let held = nothing().when(request_to_host()).happens().0.unwrap();
    assert_eq!(
        held.status,
        Status::PendingApproval {
            decide_by: later(noon(), hours(24))
        }
    );
}

#[test]
fn a_host_cannot_decide_after_the_start() {
    let at = later(start(), -hours(3));
    let held = nothing()
        .at(at)
        .when(request_to_host())
        .happens()
        .0
        .unwrap();
    assert_eq!(held.due(), Some(start()));
}

#[test]
fn units_held_by_others_in_any_slot_are_skipped() {
    let two =
        || wanting(|booking_request, terms| (booking_request.quantity, terms.capacity) = (2, 4));
    let taken = nothing().taken(offer_scope(OFFER), "0002/2027-04-02");
    let held = taken.when(two()).happens().0.unwrap();
    assert_eq!(held.booking.unit_numbers, [1, 3]);
    assert_eq!(held.claims().len(), 5);
    assert_eq!(held.booking.price, eur(2 * PRICE));
}

#[test]
fn a_request_reads_units_only_until_enough_are_free() {
    let request =
        wanting(|booking_request, terms| (booking_request.quantity, terms.capacity) = (2, 1000));
    let ranges = Reservation::claim_ranges(None, &request);
    let units = Units {
        count: 1000,
        wanted: 2,
    };
    assert_eq!(ranges[0].units, Some(units));
}

#[test]
fn a_unit_must_be_free_in_every_slot() {
    nothing()
        .taken(offer_scope(OFFER), "0001/2027-04-01")
        .taken(offer_scope(OFFER), "0002/2027-04-02")
        .when(request())
        .refuses(&Refusal::SoldOut);
}

#[test]
fn a_quantity_above_the_capacity_is_sold_out() {
    nothing()
        .when(wanting(|booking_request, _| booking_request.quantity = 3))
        .refuses(&Refusal::SoldOut);
}

#[test]
fn units_beyond_a_capacity_that_has_shrunk_do_not_count() {
    let keys = ["0002/2027-04-01", "0007/2027-04-01"];
    let free = Free::of(3, keys.into_iter());
    assert_eq!((free.count(), free.lowest(2)), (2, Some(vec![1, 3])));
}

#[test]
fn a_reservation_claims_the_lowest_free_customer_slot() {
    let held = nothing()
        .taken(customer_scope(GUEST), "1")
        .taken(customer_scope(GUEST), "3")
        .when(request());
    assert_eq!(held.happens().0.unwrap().booking.customer_slot, 2);
}

#[test]
fn a_customer_has_ten_open_reservations_at_most() {
    let full = (1..=10).fold(nothing(), |given, place| {
        given.taken(customer_scope(GUEST), place.to_string())
    });
    full.when(request()).refuses(&Refusal::TooManyReservations);
}

#[test]
fn a_repeated_request_changes_nothing_in_any_status() {
    for events in has::every_state() {
        on(events).at(end()).when(request()).then([]);
    }
}

#[test]
fn a_repeated_id_with_other_content_is_refused() {
    for change in [
        |booking_request: &mut BookingRequest, _: &mut Terms| booking_request.customer = STRANGER,
        |booking_request: &mut BookingRequest, _: &mut Terms| {
            booking_request.offer = OfferId::from_u128(99);
        },
        |booking_request: &mut BookingRequest, _: &mut Terms| booking_request.quantity = 2,
        |booking_request: &mut BookingRequest, _: &mut Terms| booking_request.persons = 1,
        |booking_request: &mut BookingRequest, _: &mut Terms| {
            booking_request.payment_method = PaymentMethod("tok_b".into());
        },
        |booking_request: &mut BookingRequest, _: &mut Terms| {
            booking_request.period = nights(date(2027, 4, 1), date(2027, 4, 4));
        },
    ] {
        on(has::requested())
            .when(wanting(change))
            .refuses(&Refusal::IdempotencyKeyReused);
    }
}

#[test]
fn a_request_outside_the_terms_is_refused() {
    let blackout = |start, end| {
        move |_: &mut BookingRequest, terms: &mut Terms| {
            terms.blackouts = vec![Blackout { start, end }];
        }
    };
    nothing()
        .when(wanting(|_, terms| terms.withdrawn = true))
        .refuses(&Refusal::OfferWithdrawn);
    nothing()
        .when(wanting(|booking_request, _| booking_request.persons = 3))
        .refuses(&Refusal::TooManyPersons);
    nothing()
        .when(wanting(blackout(date(2027, 4, 2), date(2027, 4, 3))))
        .refuses(&Refusal::BlackedOut);
    nothing()
        .when(wanting(blackout(date(2027, 4, 3), date(2027, 4, 9))))
        .happens();
    nothing()
        .when(wanting(blackout(date(2027, 3, 1), date(2027, 4, 1))))
        .happens();
    nothing()
        .when(wanting(|booking_request, terms| {
            (
                booking_request.persons,
                booking_request.quantity,
                terms.max_persons,
            ) = (4, 2, 2);
        }))
        .happens();
}

#[test]
fn a_period_of_the_wrong_kind_is_refused() {
    nothing()
        .when(wanting(|_, terms| terms.sold_by = SoldBy::Hour))
        .refuses(&Refusal::WrongPeriod);
    let hour = times("2027-04-01T10:00:00Z", 1);
    for unit in [SoldBy::Night, SoldBy::Day] {
        nothing()
            .when(wanting(|booking_request, terms| {
                (booking_request.period, terms.sold_by) = (hour, unit);
            }))
            .refuses(&Refusal::WrongPeriod);
    }
}

#[test]
fn a_period_that_has_begun_is_refused() {
    let just_before = later(start(), -SignedDuration::from_micros(1));
    nothing().at(just_before).when(request()).happens();
    nothing()
        .at(start())
        .when(request())
        .refuses(&Refusal::PeriodInPast);
    let year_one =
        wanting(|booking_request, _| booking_request.period = nights(date(1, 1, 1), date(1, 1, 2)));
    nothing().when(year_one).refuses(&Refusal::PeriodInPast);
}

#[test]
fn a_period_more_than_two_years_ahead_is_refused() {
    let from = |start: Date| {
        wanting(move |booking_request, _| {
            booking_request.period = nights(start, start.tomorrow().unwrap());
        })
    };
    nothing().when(from(date(2029, 2, 28))).happens();
    nothing()
        .when(from(date(2029, 3, 1)))
        .refuses(&Refusal::TooFarAhead);
    nothing()
        .when(from(date(9999, 12, 30)))
        .refuses(&Refusal::TooFarAhead);
    let last_hour = wanting(|booking_request, terms| {
        booking_request.period = nights(date(9999, 12, 30), date(9999, 12, 31));
        terms.zone = chassis::base::time::zone("America/New_York").unwrap();
        terms.check_out = chassis::base::time::Time::constant(23, 0, 0, 0);
    });
    nothing().when(last_hour).refuses(&Refusal::TooFarAhead);
}

#[test]
fn a_price_that_overflows_is_refused() {
    nothing()
        .when(wanting(|_, terms| terms.price = eur(i64::MAX / 2 + 1)))
        .refuses(&Refusal::PriceOutOfRange);
}

#[test]
fn a_price_is_for_every_night_and_every_unit() {
    let cases = [
        (nights(date(2027, 4, 1), date(2027, 4, 2)), 1, 10_000),
        (nights(date(2027, 4, 1), date(2027, 5, 1)), 2, 600_000),
    ];
    for (period, quantity, price) in cases {
        assert_eq!(terms().price_of(&period, quantity), Ok(eur(price)));
    }
    assert_eq!(
        terms().price_of(&times("2027-04-01T10:15:00Z", 8), 3),
        Ok(eur(240_000))
    );
}

#[test]
fn invalid_periods_are_refused_with_their_reason() {
    let day = date(2027, 4, 1);
    let dates = |days: i32| Period::dates(day, day.saturating_add(hours(24 * i64::from(days))));
    assert_eq!(dates(0), Err(NoPeriod::Empty));
    assert_eq!(dates(-1), Err(NoPeriod::Empty));
    assert_eq!(dates(367), Err(NoPeriod::TooLong));
    assert_eq!(dates(366).map(|period| period.length()), Ok(366));
    assert_eq!(
        Period::dates(date(1, 1, 1), date(9999, 12, 31)),
        Err(NoPeriod::TooLong)
    );

    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let times = |start: &str, end: &str| Period::times(at(start), at(end));
    let four = "2027-04-01T04:00:00Z";
    assert_eq!(times(four, four), Err(NoPeriod::Empty));
    assert_eq!(times(four, "2027-04-01T03:00:00Z"), Err(NoPeriod::Empty));
    assert_eq!(
        times(four, "2027-04-01T04:30:00Z"),
        Err(NoPeriod::BrokenHour)
    );
    assert_eq!(
        times(four, "2027-04-01T05:00:00.000000001Z"),
        Err(NoPeriod::BrokenHour)
    );
    assert_eq!(
        times("2027-04-01T04:10:00Z", "2027-04-01T05:10:00Z"),
        Err(NoPeriod::OffQuarter)
    );
    let nano = times(
        "2027-04-01T04:00:00.000000001Z",
        "2027-04-01T05:00:00.000000001Z",
    );
    assert_eq!(nano, Err(NoPeriod::OffQuarter));
    assert_eq!(
        Period::times(Timestamp::MIN, Timestamp::MAX),
        Err(NoPeriod::TooLong)
    );
    assert_eq!(
        times("1960-04-01T04:45:00Z", "1960-04-01T05:45:00Z").map(|period| period.length()),
        Ok(1)
    );
}

#[test]
fn the_claims_of_one_reservation_are_limited() {
    let day = date(2027, 4, 1);
    let days = |length: i64| nights(day, day.saturating_add(hours(24 * length)));
    assert!(days(20).fits(100) && !days(21).fits(100));
    assert!(days(366).fits(5) && !days(366).fits(6));
    let from_four = |length| times("2027-04-01T04:00:00Z", length);
    assert!(from_four(5).fits(100) && !from_four(6).fits(100));
    assert!(from_four(336).fits(1));
}

#[test]
fn hours_are_claimed_in_quarter_hours_of_utc() {
    let period = times("2027-04-01T23:15:00Z", 1);
    let slots = [
        "20270401T2315Z",
        "20270401T2330Z",
        "20270401T2345Z",
        "20270402T0000Z",
    ];
    assert_eq!(period.slots(), slots);
    assert_eq!(
        period.bounds(),
        ("20270401T2315Z".into(), "20270402T0015Z".into())
    );
}

#[test]
fn the_token_of_the_payment_method_is_not_shown() {
    assert!(!format!("{:?} {:?}", request(), state(has::confirmed())).contains("tok_secret"));
}
