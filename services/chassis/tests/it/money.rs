//! Amounts of money: parsing, calculation, conversion.

use berth::google::r#type as google;
use chassis::{Money, base::money::MoneyError};
use proptest::prelude::*;

fn money(code: &str, units: i64, nanos: i32) -> Result<Money, MoneyError> {
    Money::try_from(&google::Money {
        currency_code: code.into(),
        units,
        nanos,
    })
}

fn eur(minor: i64) -> Money {
    Money::new("EUR".parse().unwrap(), minor)
}

#[test]
fn minor_units_follow_the_currency() {
    assert_eq!(money("EUR", 12, 500_000_000), Ok(eur(1250)));
    assert_eq!(money("JPY", 1250, 0).unwrap().minor, 1250);
    assert_eq!(money("BHD", 1, 5_000_000).unwrap().minor, 1005);
}

#[test]
fn invalid_amounts_are_refused() {
    assert_eq!(money("XYZ", 1, 0), Err(MoneyError::UnknownCurrency));
    assert_eq!(money("eur", 1, 0), Err(MoneyError::UnknownCurrency));
    assert_eq!(money("EUR", 1, 1), Err(MoneyError::NotExact));
    assert_eq!(money("JPY", 1, 500_000_000), Err(MoneyError::NotExact));
    assert_eq!(money("EUR", 1, -10_000_000), Err(MoneyError::MixedSigns));
    assert_eq!(money("EUR", 0, 1_000_000_000), Err(MoneyError::MixedSigns));
    assert_eq!(money("EUR", i64::MAX, 0), Err(MoneyError::OutOfRange));
}

#[test]
fn calculations_do_not_overflow_or_mix_currencies() {
    assert_eq!(eur(i64::MAX).plus(eur(1)), Err(MoneyError::OutOfRange));
    assert_eq!(eur(i64::MAX).times(2), Err(MoneyError::OutOfRange));
    assert_eq!(
        eur(1).plus(money("USD", 1, 0).unwrap()),
        Err(MoneyError::CurrencyMismatch)
    );
    assert_eq!(eur(333).percent(50), Ok(eur(167)));
    assert_eq!(eur(-333).percent(50), Ok(eur(-167)));
}

#[test]
fn it_is_displayed_as_an_amount() {
    assert_eq!(eur(-1205).to_string(), "-12.05 EUR");
    assert_eq!(money("JPY", 1250, 0).unwrap().to_string(), "1250 JPY");
}

proptest! {
    #[test]
    fn it_survives_the_conversion_to_proto_and_back(minor in any::<i64>(), code in prop::sample::select(vec!["EUR", "JPY", "BHD", "KRW"])) {
        let money = Money::new(code.parse().unwrap(), minor);
        prop_assert_eq!(Money::try_from(&google::Money::from(money)), Ok(money));
    }

    #[test]
    fn a_part_and_the_rest_add_up(minor in -1_000_000_000_i64..1_000_000_000, percent in 0_u32..=100) {
        let part = eur(minor).percent(percent).unwrap();
        let rest = eur(minor).minus(part).unwrap();
        prop_assert_eq!(part.plus(rest), Ok(eur(minor)));
        prop_assert!(part.minor.abs() <= minor.abs());
    }
}
