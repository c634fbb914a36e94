//! What can be had, and what cannot.

use super::*;
use crate::domain::{
    claims::{Free, customer_scope, offer_scope},
    period::NoPeriod,
    terms::Blackout,
};

fn nothing() -> Given<Reservation> {
    on(vec![])
}

fn wanting(change: impl FnOnce(&mut Wish, &mut Terms)) -> Command {
    let (mut wish, mut terms) = (wish(), terms());
    change(&mut wish, &mut terms);
    request_of(wish, terms)
}

#[test]
fn a_request_holds_the_lowest_free_units_until_it_is_paid() {
    let held = nothing().when(request()).happens().0.unwrap();
    assert_eq!(held.booking.units, [1]);
    assert_eq!(held.booking.place, 1);
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
            (offer.as_str(), "2027-04-01/0001"),
            (offer.as_str(), "2027-04-02/0001"),
        ]
    );
}

#[test]
fn a_request_to_a_host_waits_for_the_host() {
    let held = nothing().when(request_to_host()).happens().0.unwrap();
    assert_eq!(
        held.status,
        Status::PendingApproval {
            decide_by: later(noon(), hours(24))
        }
    );
}

#[test]
fn a_host_does_not_decide_after_the_start() {
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
fn what_others_hold_in_any_slot_is_passed_over() {
    let two = || wanting(|wish, terms| (wish.quantity, terms.capacity) = (2, 4));
    let taken = nothing().taken(offer_scope(OFFER), "2027-04-02/0002");
    let held = taken.when(two()).happens().0.unwrap();
    assert_eq!(held.booking.units, [1, 3]);
    assert_eq!(held.claims().len(), 5);
    assert_eq!(held.booking.price, eur(2 * PRICE));
}

#[test]
fn what_is_free_in_each_slot_but_not_in_all_is_sold_out() {
    nothing()
        .taken(offer_scope(OFFER), "2027-04-01/0001")
        .taken(offer_scope(OFFER), "2027-04-02/0002")
        .when(request())
        .refuses(&Refusal::SoldOut);
}

#[test]
fn more_than_there_is_is_sold_out() {
    nothing()
        .when(wanting(|wish, _| wish.quantity = 3))
        .refuses(&Refusal::SoldOut);
}

#[test]
fn units_beyond_a_capacity_that_has_shrunk_do_not_count() {
    let keys = ["2027-04-01/0002", "2027-04-01/0007"];
    let free = Free::of(3, keys.into_iter());
    assert_eq!((free.count(), free.lowest(2)), (2, Some(vec![1, 3])));
}

#[test]
fn a_customer_takes_the_lowest_free_place() {
    let held = nothing()
        .taken(customer_scope(GUEST), "1")
        .taken(customer_scope(GUEST), "3")
        .when(request());
    assert_eq!(held.happens().0.unwrap().booking.place, 2);
}

#[test]
fn a_customer_has_ten_open_reservations_at_most() {
    let full = (1..=10).fold(nothing(), |given, place| {
        given.taken(customer_scope(GUEST), place.to_string())
    });
    full.when(request()).refuses(&Refusal::TooManyReservations);
}

#[test]
fn asking_again_for_the_same_changes_nothing_whatever_became_of_it() {
    for events in has::every_state() {
        on(events).at(end()).when(request()).then([]);
    }
}

#[test]
fn asking_for_something_else_under_the_same_id_is_refused() {
    for change in [
        |wish: &mut Wish, _: &mut Terms| wish.customer = STRANGER,
        |wish: &mut Wish, _: &mut Terms| wish.offer = OfferId::from_u128(99),
        |wish: &mut Wish, _: &mut Terms| wish.quantity = 2,
        |wish: &mut Wish, _: &mut Terms| wish.persons = 1,
        |wish: &mut Wish, _: &mut Terms| wish.payment_method = PaymentMethod("tok_b".into()),
        |wish: &mut Wish, _: &mut Terms| wish.period = nights(date(2027, 4, 1), date(2027, 4, 4)),
    ] {
        on(has::requested())
            .when(wanting(change))
            .refuses(&Refusal::IdempotencyKeyReused);
    }
}

#[test]
fn what_the_offer_does_not_give_is_refused() {
    let blackout = |start, end| {
        move |_: &mut Wish, terms: &mut Terms| {
            terms.blackouts = vec![Blackout { start, end }];
        }
    };
    nothing()
        .when(wanting(|_, terms| terms.withdrawn = true))
        .refuses(&Refusal::OfferWithdrawn);
    nothing()
        .when(wanting(|wish, _| wish.persons = 3))
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
        .when(wanting(|wish, terms| {
            (wish.persons, wish.quantity, terms.max_persons) = (4, 2, 2);
        }))
        .happens();
}

#[test]
fn a_period_of_the_wrong_kind_is_refused() {
    nothing()
        .when(wanting(|_, terms| terms.unit = Unit::Hour))
        .refuses(&Refusal::WrongPeriod);
    let hour = times("2027-04-01T10:00:00Z", 1);
    for unit in [Unit::Night, Unit::Day] {
        nothing()
            .when(wanting(|wish, terms| {
                (wish.period, terms.unit) = (hour, unit);
            }))
            .refuses(&Refusal::WrongPeriod);
    }
}

#[test]
fn what_has_begun_cannot_be_reserved() {
    let just_before = later(start(), -SignedDuration::from_micros(1));
    nothing().at(just_before).when(request()).happens();
    nothing()
        .at(start())
        .when(request())
        .refuses(&Refusal::PeriodInPast);
    let year_one = wanting(|wish, _| wish.period = nights(date(1, 1, 1), date(1, 1, 2)));
    nothing().when(year_one).refuses(&Refusal::PeriodInPast);
}

#[test]
fn nobody_reserves_more_than_two_years_ahead() {
    let from = |start: Date| {
        wanting(move |wish, _| {
            wish.period = nights(start, start.tomorrow().unwrap());
        })
    };
    nothing().when(from(date(2029, 2, 28))).happens();
    nothing()
        .when(from(date(2029, 3, 1)))
        .refuses(&Refusal::TooFarAhead);
    nothing()
        .when(from(date(9999, 12, 30)))
        .refuses(&Refusal::TooFarAhead);
    let last_hour = wanting(|wish, terms| {
        wish.period = nights(date(9999, 12, 30), date(9999, 12, 31));
        terms.zone = chassis::base::time::zone("America/New_York").unwrap();
        terms.check_out = chassis::base::time::Time::constant(23, 0, 0, 0);
    });
    nothing().when(last_hour).refuses(&Refusal::TooFarAhead);
}

#[test]
fn a_price_that_cannot_be_counted_is_refused() {
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
        assert_eq!(terms().quote(&period, quantity), Ok(eur(price)));
    }
    assert_eq!(
        terms().quote(&times("2027-04-01T10:15:00Z", 8), 3),
        Ok(eur(240_000))
    );
}

#[test]
fn what_is_no_period_is_told_apart() {
    let day = date(2027, 4, 1);
    let dates = |days: i32| Period::dates(day, day.saturating_add(hours(24 * i64::from(days))));
    assert_eq!(dates(0), Err(NoPeriod::Empty));
    assert_eq!(dates(-1), Err(NoPeriod::Empty));
    assert_eq!(dates(367), Err(NoPeriod::TooLong));
    assert_eq!(dates(366).map(|period| period.units()), Ok(366));
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
        times("1960-04-01T04:45:00Z", "1960-04-01T05:45:00Z").map(|period| period.units()),
        Ok(1)
    );
}

#[test]
fn what_is_claimed_at_once_is_limited() {
    let day = date(2027, 4, 1);
    let hundred = nights(day, day.saturating_add(hours(24 * 100)));
    assert!(hundred.fits(100));
    assert!(!nights(day, day.saturating_add(hours(24 * 101))).fits(100));
    let day_and_hour = times("2027-04-01T04:00:00Z", 25);
    assert!(day_and_hour.fits(100));
    assert!(!times("2027-04-01T04:00:00Z", 26).fits(100));
}

#[test]
fn hours_are_held_in_quarters_of_utc() {
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
